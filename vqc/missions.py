"""The inspections an operator runs: their exact names and what each looks at."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from vqc.errors import UnknownMission


class Mission(BaseModel):
    """One inspection. ``focus`` goes into the prompts; ``requirement`` says what a passing ticket shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    domain: Literal["bbu", "rru"]
    focus: str
    requirement: str


@cache
def missions() -> dict[str, Mission]:
    """Every mission by name, in the order of ``missions.yaml``."""
    text = files("vqc").joinpath("missions.yaml").read_text("utf-8")
    found = TypeAdapter(list[Mission]).validate_python(yaml.safe_load(text))
    return {mission.name: mission for mission in found}


def mission_named(name: str) -> Mission:
    """The mission with this exact name.

    >>> mission_named("挡风板安装检查").domain
    'bbu'

    Raises:
        UnknownMission: no such mission; the message names the nearest.
    """
    try:
        return missions()[name]
    except KeyError:
        raise UnknownMission(name, missions()) from None
