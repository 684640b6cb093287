"""Copies an inspection to a new directory, and compares two."""

from __future__ import annotations

import re
import shutil
from difflib import unified_diff
from pathlib import Path

from vqc.errors import InvalidValue
from vqc.inspection import FILES, HEADER, Inspection, load_inspection
from vqc.mission import Mission
from vqc.missions import default_name, inspection_directory


def copy_inspection(source: str | None, directory: Path, name: str) -> Inspection:
    """Copies an inspection (a directory, a shipped name, or None: the default) as version 1 of ``name``.

    Raises:
        InvalidValue: a directory that is not empty, a source that is none, or a name that is not valid; nothing is left.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InvalidValue("directory", str(directory), "must be empty or not exist")
    origin = inspection_directory(source or default_name())
    existed = directory.exists()
    directory.mkdir(parents=True, exist_ok=True)
    try:
        load_inspection(origin)
        for file in FILES:
            if (origin / file).exists():
                shutil.copyfile(origin / file, directory / file)
        header = (directory / HEADER).read_text("utf-8")
        header = re.sub(r"^name:.*$", f"name: {name}", header, count=1, flags=re.MULTILINE)
        header = re.sub(r"^version:.*$", "version: 1", header, count=1, flags=re.MULTILINE)
        (directory / HEADER).write_text(header, "utf-8")
        return load_inspection(directory)
    except BaseException:
        for file in FILES:
            (directory / file).unlink(missing_ok=True)
        if not existed:
            directory.rmdir()
        raise


def differences(before: Inspection, after: Inspection) -> list[str]:
    """What differs, one line each, with its effect on checkpoints of ``before``. Empty if the two are the same."""
    lines = []
    if before.name != after.name:
        lines.append(f"name: {before.name} -> {after.name}")
    if before.header.version != after.header.version:
        lines.append(f"version: {before.header.version} -> {after.header.version}")
    lines += _prompt_differences(before, after)
    for name in [*before.missions, *(name for name in after.missions if name not in before.missions)]:
        old, new = before.missions.get(name), after.missions.get(name)
        if old is None:
            lines.append(f"mission {name}: new; checkpoints were not trained on it")
        elif new is None:
            lines.append(f"mission {name}: removed")
        else:
            lines += _mission_differences(old, new)
    return lines


def _prompt_differences(before: Inspection, after: Inspection) -> list[str]:
    lines = []
    for task, texts in before.prompts.model_dump().items():
        for part, text in texts.items():
            other = after.prompts.model_dump()[task][part]
            if text != other:
                lines.append(f"prompts {task}.{part}: changed; checkpoints of the old text are refused")
                lines += [
                    f"    {line}" for line in unified_diff(text.splitlines(), other.splitlines(), n=0, lineterm="")
                ][2:]
    return lines


def _mission_differences(old: Mission, new: Mission) -> list[str]:
    before, after = old.model_dump(), new.model_dump()
    asked = ("domain", "focus", "requirement")
    lines = []
    for field in before:
        if before[field] != after[field]:
            effect = "checkpoints count as not trained on it" if field in asked else "judged differently from now on"
            lines.append(f"mission {old.name}: {field} changed; {effect}")
    return lines
