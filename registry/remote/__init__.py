"""A remote registry: any server of the OCI distribution API (Harbor, ECR, zot, Docker Registry).

Uses httpx instead of ``oras``, whose pull does not verify digests, which re-sends an expired token after a 401, and
which has no timeouts, ranges or referrers (docs/adr/0008-registry-remote.md).

Limits of such a server: tags have no compare-and-swap. An alias is read, written and read again, so two writers in the
same instant may both believe that they succeeded; the log (one referrer per move) contains both. Servers may collect
untagged manifests, so every version also has the tag ``version.<hex>``. Garbage collection is the server's own.
"""

from registry.remote.store import RemoteStore

__all__ = ["RemoteStore"]
