"""References of ``VQC_INSPECTIONS`` to a registry become directories, once at the start of each command."""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLE, _REFERENCE = "VQC_INSPECTIONS", "inspection/"
"""As in ``vqc.missions``, which imports pydantic: every command calls this, `--help` too."""


def take_inspections() -> None:
    """Replaces each ``inspection/NAME[@VERSION]`` in ``VQC_INSPECTIONS`` by a directory with that version.

    Processes that this one starts inherit the directories, so all of them have the same versions. The registry is
    ``VQC_REGISTRY``; without one nothing is replaced, and the first use of the inspections says so.

    Raises:
        VqcError: a version that does not exist or cannot be read.
    """
    names, where = os.environ.get(_VARIABLE, ""), os.environ.get("VQC_REGISTRY")
    if where and any(name.startswith(_REFERENCE) for name in names.split(os.pathsep)):
        from registry import open_registry
        from registry.inspections import materialise_references

        cache = Path(os.environ.get("VQC_MODEL_CACHE", "output/models"))
        os.environ[_VARIABLE] = materialise_references(names, open_registry(where), cache)
