"""A registry in a directory: an OCI image layout, readable by any tool that reads those.

    oci-layout, index.json   the standard's; the index names versions, aliases (``…ref.name``) and attachments
    blobs/sha256/<hex>       every file, config and manifest, read-only
    vqc/audit.jsonl          the log
    vqc/leases/              who holds what until when
    vqc/partial/             what is being written
    vqc/*.lock               locks; the kernel frees those of a dead process

``index.json`` is the point of commit: it is replaced at once, under a lock, after every byte it names is on disk.
"""

from registry.layout.store import LayoutStore

__all__ = ["LayoutStore"]
