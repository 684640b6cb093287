"""Reads the folder of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from service.guidance.guidance import Guidance
from service.guidance.record import guidance_of
from service.platform.files import read_json
from vqc.errors import InvalidValue
from vqc.missions import Mission, load_missions, missions


def finished_missions(run: Path) -> list[Path]:
    """The folders of the run's missions, by name.

    Raises:
        InvalidValue: not the folder of a run, or the run is not complete.
    """
    if not (run / "run.json").is_file():
        raise InvalidValue("run", str(run), "must be the folder of a run (with run.json), such as output/stage_b/demo")
    if not (run / "report.html").is_file():
        raise InvalidValue("run", str(run), "is not complete; continue it with `vqc stage-b run` and its configuration")
    return sorted(path.parent for path in run.glob("*/metrics.json"))


def last_guidance(folder: Path) -> Guidance:
    """The guidance that a mission ended with, from its folder. Raises ``InvalidValue``."""
    return guidance_of(read_json(folder / "guidance.json"))


def mission_of(identity: Any, name: str) -> Mission:
    """The mission of this name, from the definitions that the run used (``identity`` is its ``run.json``)."""
    own = identity["config"]["missions_path"]
    return {**missions(), **(load_missions(Path(own)) if own else {})}[name]
