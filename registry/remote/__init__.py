"""A registry elsewhere: any server of the OCI distribution API (Harbor, ECR, zot, Docker Registry).

Written on httpx, not on ``oras``: that one's pull does not check digests, after a 401 it sends its expired token again, its
requests have no time-out, and it knows neither ranges nor referrers (docs/adr/0008-registry-remote.md).

What such a server cannot do is said here once. Tags have no compare-and-swap: an alias is read, written and read again, so of
two writers in the same instant both may be told that theirs is in force; the log (a referrer a move) has both. Servers may
collect untagged manifests, so every version also has the tag ``version.<hex>``. Collection is the server's own.
"""

from registry.remote.store import RemoteStore

__all__ = ["RemoteStore"]
