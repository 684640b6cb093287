"""The same requests for those who like locust's pages. locust is no dependency; use an environment of its own:

    python -m venv .venv-locust && .venv-locust/bin/pip install locust pillow pydantic pyyaml
    PYTHONPATH=. .venv-locust/bin/locust -f tools/locust/locustfile.py --host http://127.0.0.1:8080

Locust's users wait for their answer before they ask again (a closed loop): a server that stalls is asked less. For
latencies that a stall does not flatter use ``vqc-bench caption``.
"""

from __future__ import annotations

from itertools import count
from uuid import uuid4

from locust import HttpUser, between, task  # pyright: ignore[reportMissingImports]

from loadtest.load.payloads import supply_of
from loadtest.load.scenario import DEFAULT_MISSION, Photos

_SUPPLY = supply_of(Photos(drawn=24), uuid4().hex[:8])
_NUMBERS = count()


class Inspector(HttpUser):
    """Somebody with photos: mostly captions, some lines."""

    wait_time = between(0.5, 2.0)

    @task(6)
    def caption(self) -> None:
        """One photo's objects."""
        files = {"photo": ("photo.jpg", _SUPPLY.photos(next(_NUMBERS), 1)[0], "image/jpeg")}
        with self.client.post("/caption", files=files, catch_response=True) as response:
            if response.status_code == 200 and not isinstance(response.json().get("caption"), dict):
                response.failure("no caption")

    @task(2)
    def stage_a(self) -> None:
        """Two photos' lines."""
        photos = _SUPPLY.photos(next(_NUMBERS), 2)
        files = [("photos", (f"{n}.jpg", photo, "image/jpeg")) for n, photo in enumerate(photos)]
        with self.client.post(
            "/stage-a", data={"mission": DEFAULT_MISSION}, files=files, catch_response=True
        ) as response:
            if response.status_code == 200 and any("problem" in photo for photo in response.json()["photos"]):
                response.failure("a photo has a problem")
