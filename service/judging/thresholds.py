"""Stores calibrations as files beside the guidance that they were made under.

    ROOT/MISSION/thresholds/<key>.json

A calibration is valid for one mission, model, guidance version and sampler; the key is the digest of the four.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from service.guidance.guidance import Guidance
from service.judging.calibration import Calibration
from service.platform.files import folder_of, read_json, write_json
from vqc.contract import digest
from vqc.errors import InvalidValue


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mission: str
    model: str
    guidance: str
    sampler: str
    calibration: Calibration


class Thresholds:
    """The calibrations below ``root``, the folder of the guidance store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, guidance: Guidance, *, model: str, sampler: str) -> Calibration | None:
        """The calibration for exactly these, or None; without one, no score sends a 通过 to review.

        Raises:
            InvalidValue: the file is damaged.
        """
        path = self._path(guidance, model, sampler)
        if not path.exists():
            return None
        try:
            return _Record.model_validate(read_json(path)).calibration
        except ValidationError as error:
            raise InvalidValue(
                str(path), type(error).__name__, "must be a file written by `vqc stage-b calibrate`"
            ) from error

    def put(self, calibration: Calibration, guidance: Guidance, *, model: str, sampler: str) -> Path:
        """Stores a calibration, replacing an earlier one, and returns its path."""
        path = self._path(guidance, model, sampler)
        write_json(path, {**_key(guidance, model, sampler), "calibration": asdict(calibration)})
        return path

    def _path(self, guidance: Guidance, model: str, sampler: str) -> Path:
        name = f"{digest(_key(guidance, model, sampler))[:32]}.json"
        return folder_of(self._root, guidance.mission) / "thresholds" / name


def _key(guidance: Guidance, model: str, sampler: str) -> dict[str, str]:
    return {"mission": guidance.mission, "model": model, "guidance": guidance.digest, "sampler": sampler}
