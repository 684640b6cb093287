"""``make demo``: starts the product (Redis, a real vLLM on the CPU, API, worker) and runs it on the sample photos.

Prints the objects and the Stage-A line of each photo, the folder with the drawn pictures, and the progress and verdict of a
ticket. On a terminal the API stays up until Enter is pressed; otherwise everything stops at the end.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from scenes.tickets import TicketMix
from scenes.write import write_tickets

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "deploy" / "demo" / "photos"
OUTPUT = ROOT / "output" / "demo"
MODEL = ROOT / "deploy" / "demo" / "model"
MISSION = "挡风板安装检查"
DRAWN_MISSIONS = ("BBU接地线检查", "挡风板安装检查")
BATCHES = 12
"""Most batches of eight drawn tickets; of the first eight the shipped model passes two whose lines show a flaw."""
CAPTION = {"max_new_tokens": "800"}

console = Console()


def main() -> None:
    """Runs the demonstration."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    photos = sorted(PHOTOS.glob("*.jpg"))
    with serving(MODEL) as client:
        show_captions(client, photos)
        show_stage_a(client, photos)
        show_ticket(client, photos)
        leave_ticket(client)
        console.print(f"\nphotos with the objects drawn: [bold]{OUTPUT}[/]")
        url = str(client.base_url).rstrip("/")
        console.print(f"the API: [bold]{url}[/]  (OpenAPI: {url}/openapi.json)")
        console.print(f"  curl -F photo=@{photos[0].relative_to(ROOT)} {url}/caption", soft_wrap=True)
        console.print(f"review tickets and try photos: [bold]{url}/console[/]", soft_wrap=True)
        if sys.stdin.isatty():
            console.input("\npress Enter to stop ")


@contextmanager
def serving(model: Path) -> Iterator[httpx.Client]:
    """A client of the service, which runs inside the block and is drained after it."""
    port = int(os.environ.get("VQC_PORT") or free_port(8080))
    environment = {
        "VQC_MODEL": str(model),
        "VQC_MODEL_ALIAS": "demo",
        "VQC_ENGINE_LOG": str(OUTPUT / "engine.log"),
        "VQC_STATE_DIR": str(OUTPUT / "state"),
        **os.environ,
        "VQC_PORT": str(port),
    }
    command = [sys.executable, "-m", "service.cli", "up"]
    with (
        (OUTPUT / "api.log").open("w") as log,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=300) as client,
    ):
        process = subprocess.Popen(command, env=environment, stderr=log, cwd=ROOT, start_new_session=True)
        try:
            wait_until_ready(client, process)
            yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def free_port(wanted: int) -> int:
    """The wanted port if it is free, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise AssertionError("port 0 always binds")


def wait_until_ready(client: httpx.Client, process: subprocess.Popen) -> None:
    """Shows the progress of the start until the service is ready."""
    started = time.monotonic()
    with console.status("starting the service") as status:
        while process.poll() is None:
            try:
                health = client.get("/readyz").json()
            except httpx.ConnectError:
                time.sleep(0.2)
                continue
            if health["ready"]:
                console.print(f"service and engine are ready after {time.monotonic() - started:.0f} s")
                return
            status.update(f"engine: {'; '.join(health['reasons'])}")
            if health["engine_restarts"]:
                break
            time.sleep(0.5)
    sys.exit(f"the service did not start; see {OUTPUT / 'api.log'} and {OUTPUT / 'engine.log'}")


def show_captions(client: httpx.Client, photos: list[Path]) -> None:
    """Prints the objects of each photo and writes the pictures."""
    for photo in photos:
        answer = client.post("/caption", files={"photo": photo.open("rb")}, params=CAPTION).raise_for_status().json()
        table = Table(title=f"{photo.name}  ({answer['timings']['total_ms'] / 1000:.1f} s)", title_justify="left")
        for column in ("", "description", "where (0..1000)"):
            table.add_column(column, overflow="fold")
        for key, item in answer["caption"].items():
            kind = next(kind for kind in ("bbox_2d", "quad", "line") if kind in item)
            table.add_row(key, item["desc"], f"{kind} {item[kind]}")
        console.print(table)
        drawn = client.post("/caption", files={"photo": photo.open("rb")}, params=CAPTION | {"render": "overlay"})
        (OUTPUT / f"{photo.stem}.overlay.png").write_bytes(drawn.raise_for_status().content)


def show_stage_a(client: httpx.Client, photos: list[Path]) -> None:
    """Prints the Stage-A line of each photo."""
    files = [("photos", (photo.name, photo.read_bytes())) for photo in photos]
    answer = client.post("/stage-a", data={"mission": MISSION}, files=files).raise_for_status().json()
    table = Table(title=f"Stage-A lines, mission {MISSION}", title_justify="left")
    table.add_column("photo")
    table.add_column("line", overflow="fold")
    for entry in answer["photos"]:
        table.add_row(entry["name"], entry.get("summary") or entry["problem"]["detail"])
    console.print(table)


def show_ticket(client: httpx.Client, photos: list[Path]) -> None:
    """Submits the photos as one ticket, prints its events as they happen, and its verdict."""
    files = [("photos", (photo.name, photo.read_bytes())) for photo in photos]
    answer = client.post("/stage-b/groups", data={"mission": MISSION}, files=files).raise_for_status()
    location = answer.headers["Location"]
    console.print(f"\nticket {location}, mission {MISSION}")
    ticket = wait_for_verdict(client, location, lambda name: console.print(f"  {name}", style="dim"))
    verdict = ticket["verdict"] or f"needs review ({', '.join(ticket['review_reasons'])})"
    console.print(f"  {ticket['state']}: [bold]{verdict}[/]")
    if ticket["reason"]:
        sampled = ticket["selection"]["sampled"]
        console.print(f"  理由: {ticket['reason']}  ({ticket['vote_share']:.0%} of {sampled} rollouts agree)")


def leave_ticket(client: httpx.Client) -> None:
    """Submits drawn tickets with their photos and lines until one needs review, for the console."""
    for seed in range(1, BATCHES + 1):
        if _count_waiting(client):
            return
        with console.status("drawing and judging tickets until one needs review"):
            folder = OUTPUT / "tickets" / str(seed)
            mix = TicketMix(fail=0.9)  # one flaw among correct items: the model is least certain there
            file = write_tickets(folder, seed=seed, missions=DRAWN_MISSIONS, count=8, mix=mix)
            lines = file.read_text("utf-8").splitlines()
            for location in [submit_ticket(client, folder, json.loads(line)) for line in lines]:
                wait_for_verdict(client, location, lambda name: None)
    if not _count_waiting(client):
        console.print("  the model decided every ticket with confidence: none needs review")


def submit_ticket(client: httpx.Client, folder: Path, drawn: dict[str, Any]) -> str:
    """Submits a drawn ticket; returns its URL."""
    names = [Path(photo).name for photo in drawn["photos"]]
    photos = [{"name": name, "summary": line} for name, line in zip(names, drawn["summaries"], strict=True)]
    part = json.dumps({"mission": drawn["mission"], "ticket_id": drawn["group_id"], "photos": photos})
    files = [
        ("photos", (name, (folder / photo).read_bytes())) for name, photo in zip(names, drawn["photos"], strict=True)
    ]
    answer = client.post("/stage-b/groups", data={"group": part}, files=files).raise_for_status()
    return answer.headers["Location"]


def _count_waiting(client: httpx.Client) -> int:
    page = client.get("/stage-b/groups", params={"state": "needs_review"}).raise_for_status().json()
    return int(page["total"])


def wait_for_verdict(client: httpx.Client, location: str, on_event: Callable[[str], object]) -> dict[str, Any]:
    """Waits until the ticket's run has ended and returns it; calls ``on_event`` with the name of each event."""
    with client.stream("GET", f"{location}/events") as events:
        for line in events.iter_lines():
            if line.startswith("event: "):
                on_event(line.removeprefix("event: "))
    ticket: dict[str, Any] = client.get(location).raise_for_status().json()
    return ticket


if __name__ == "__main__":
    main()
