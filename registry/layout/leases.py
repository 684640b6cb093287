"""Who holds which version of a layout, and until when: one small file a lease.

A holder renews in the background, so that a lease outlives its ``ttl_s`` only while its process lives. Times are the
system's wall clock.
"""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event, Thread
from time import time
from types import TracebackType
from uuid import uuid4

from registry.errors import StorageFull
from registry.files import write_whole
from registry.oci import canonical
from vqc.errors import InvalidValue


class HeldLease:
    """One lease. Leaving the block gives it up."""

    def __init__(self, path: Path, scratch: Path, digest: str, holder: str, ttl_s: float) -> None:
        self.digest = digest
        self.holder = holder
        self._path = path
        self._scratch = scratch
        self._ttl_s = ttl_s
        self._over = Event()
        self._renewer = Thread(target=self._keep, name="registry-lease", daemon=True)

    def renew(self) -> None:
        """Holds it for another ``ttl_s`` from now."""
        until = {"digest": self.digest, "holder": self.holder, "until": time() + self._ttl_s}
        write_whole(self._path, canonical(until), self._scratch)

    def __enter__(self) -> HeldLease:
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._renewer.join()
        self._path.unlink(missing_ok=True)

    def _keep(self) -> None:
        while not self._over.wait(self._ttl_s / 3):
            try:
                self.renew()
            except (OSError, StorageFull):
                continue  # the last one still holds; there may be room the next time


class LeaseFiles:
    """The leases of one layout."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch

    def take(self, digest: str, holder: str, ttl_s: float) -> HeldLease:
        """A new lease, in force; enter it to have it renewed.

        Raises:
            InvalidValue: ``ttl_s`` is not positive.
        """
        if not ttl_s > 0:
            raise InvalidValue("ttl_s", ttl_s, "name a number of seconds above 0")
        self._folder.mkdir(parents=True, exist_ok=True)
        lease = HeldLease(self._folder / f"{uuid4().hex}.json", self._scratch, digest, holder, ttl_s)
        lease.renew()
        return lease

    def held(self) -> set[str]:
        """The digests held now. Leases that ended without being given up are removed."""
        digests: set[str] = set()
        for path in self._folder.glob("*.json") if self._folder.exists() else ():
            try:
                lease = json.loads(path.read_text("utf-8"))
            except FileNotFoundError:
                continue
            if float(lease["until"]) > time():
                digests.add(str(lease["digest"]))
            else:
                path.unlink(missing_ok=True)
        return digests
