"""A registry in a directory: an OCI image layout, readable by other OCI tools.

    oci-layout, index.json   the standard's; the index lists versions, aliases (``…ref.name``) and attachments
    blobs/sha256/<hex>       every file, config and manifest, read-only
    vqc/audit.jsonl          the log
    vqc/leases/              who leases which version until when
    vqc/partial/             files being written
    vqc/*.lock               lock files; the kernel releases the locks of a dead process

``index.json`` is the commit point: it is replaced atomically, under a lock, after every byte it lists is on disk.
"""

from registry.layout.store import LayoutStore

__all__ = ["LayoutStore"]
