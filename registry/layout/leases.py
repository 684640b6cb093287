"""Leases on versions of a layout: one small file per lease, with its expiry time.

A background thread renews a lease while its holder's process lives; after that it expires within ``ttl_s``. Times are
wall-clock times, because other processes read them.
"""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread
from time import time
from types import TracebackType
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, Field, ValidationError

from registry.errors import Corrupt, StorageFull
from registry.files import read_regular, write_atomically
from registry.oci import canonical
from vqc.errors import InvalidValue

_MAX_LEASE = 2**16


class _Lease(BaseModel):
    """The content of a lease file. ``until`` is in seconds since the epoch."""

    digest: str
    until: Annotated[float, Field(allow_inf_nan=False)]


class HeldLease:
    """One lease, renewed in the background inside the ``with`` block and released at its end."""

    def __init__(self, path: Path, scratch: Path, digest: str, holder: str, ttl_s: float) -> None:
        self.digest = digest
        self.holder = holder
        self._path = path
        self._scratch = scratch
        self._ttl_s = ttl_s
        self._released = Event()
        self._renewer = Thread(target=self._renew_until_released, name="registry-lease", daemon=True)

    def renew(self) -> None:
        """Extends the lease by ``ttl_s`` from now."""
        until = {"digest": self.digest, "holder": self.holder, "until": time() + self._ttl_s}
        write_atomically(self._path, canonical(until), self._scratch)

    def __enter__(self) -> HeldLease:
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._renewer.join()
        self._path.unlink(missing_ok=True)

    def _renew_until_released(self) -> None:
        # A third of the lifetime: one failed renewal still leaves time for the next.
        while not self._released.wait(self._ttl_s / 3):
            try:
                self.renew()
            except (OSError, StorageFull):
                continue  # the previous renewal is still valid, and space may be free next time


class LeaseFiles:
    """The leases of one layout."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self._folder = folder
        self._scratch = scratch

    def acquire(self, digest: str, holder: str, ttl_s: float) -> HeldLease:
        """A new lease, active from now; enter it to keep it renewed.

        Raises:
            InvalidValue: ``ttl_s`` is not positive.
        """
        if not ttl_s > 0:
            raise InvalidValue("ttl_s", ttl_s, "must be a number of seconds above 0")
        self._folder.mkdir(parents=True, exist_ok=True)
        lease = HeldLease(self._folder / f"{uuid4().hex}.json", self._scratch, digest, holder, ttl_s)
        lease.renew()
        return lease

    def active_digests(self) -> set[str]:
        """The digests under an active lease. Expired lease files are deleted. Raises ``Corrupt``."""
        digests: set[str] = set()
        for path in self._folder.glob("*.json") if self._folder.exists() else ():
            try:
                lease = _Lease.model_validate_json(read_regular(path, _MAX_LEASE))
            except FileNotFoundError:  # released since the directory was listed
                continue
            except ValidationError as error:
                # It may protect a version, so nothing can be removed.
                expected = "a lease; delete the file if no service uses this registry"
                raise Corrupt(str(path), expected=expected, found=str(error.errors()[0]["msg"])) from error
            if lease.until > time():
                digests.add(lease.digest)
            else:
                path.unlink(missing_ok=True)
        return digests
