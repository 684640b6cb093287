"""Reading the folder of a finished run."""

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
        InvalidValue: not the folder of a run, or of one that is not complete.
    """
    if not (run / "run.json").is_file():
        raise InvalidValue("run", str(run), "must be the folder of a run (with run.json), as output/stage_b/demo")
    if not (run / "report.html").is_file():
        raise InvalidValue("run", str(run), "is not complete; `vqc stage-b run` with its configuration goes on with it")
    return sorted(path.parent for path in run.glob("*/metrics.json"))


def guidance_in_force(run: Path, folder: Path) -> Guidance:
    """The guidance that a mission ended with. Raises ``InvalidValue``."""
    return guidance_of(read_json(folder / "guidance.json"))


def mission_of(identity: Any, name: str) -> Mission:
    """The mission of this name, by the definitions that the run (its ``run.json``) was made with."""
    own = identity["config"]["missions_path"]
    return {**missions(), **(load_missions(Path(own)) if own else {})}[name]
