"""The active inspections, and their missions by name.

A process has one set of them, and so do the processes that it starts: ``VQC_INSPECTIONS`` names them, else it is the
inspection that is shipped. A model that is swapped in may bring others (``replace_active``); what was begun under a set keeps
it (``using``). ADRs 0014 and 0018 say why this is no argument of every function.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from vqc.errors import InvalidValue, UnknownMission
from vqc.inspection import Inspection, load_inspection, parse_missions
from vqc.mission import KeyItem as KeyItem
from vqc.mission import Mission as Mission

SHIPPED = Path(__file__).parents[1] / "inspections"
"""The directory of the inspections that come with the product; its file DEFAULT names one of them."""

VARIABLE = "VQC_INSPECTIONS"
"""The active inspections: directories, or names of shipped ones, separated as in PATH."""

REFERENCE = "inspection/"
"""The prefix of ``inspection/NAME`` and ``inspection/NAME@VERSION``, versions in a registry."""

MATERIALISED = "sha256-"
"""The prefix of directories that hold a version of a registry; they are named by its digest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ActiveInspections:
    """Inspections whose missions have distinct names. The first one's prompt asks for captions.

    ``from_registry`` are the names of those that the operator took from a registry; ``by_default`` is whether none was named.

    Raises:
        InvalidValue: no inspection, or a name that two of them, or two of their missions, share.
    """

    inspections: tuple[Inspection, ...]
    from_registry: frozenset[str] = frozenset()
    by_default: bool = False

    def __post_init__(self) -> None:
        if not self.inspections:
            raise InvalidValue("inspections", (), "name at least one inspection")
        names = [one.name for one in self.inspections]
        owners: dict[str, str] = {}
        for one in self.inspections:
            if names.count(one.name) > 1:
                raise InvalidValue("inspections", one.name, "must be active once; two directories have this name")
            for mission in one.missions:
                if mission in owners:
                    raise InvalidValue(
                        "inspections", mission, f"is a mission of {owners[mission]} and of {one.name}; rename one"
                    )
                owners[mission] = one.name

    @cached_property
    def missions(self) -> dict[str, Mission]:
        """Every mission by name, in the order of the inspections."""
        return {name: mission for one in self.inspections for name, mission in one.missions.items()}


_active: ActiveInspections | None = None
_in_use: ContextVar[ActiveInspections | None] = ContextVar("inspections", default=None)


def activate(names: Sequence[str | Path]) -> ActiveInspections:
    """Makes these inspections the active ones, by directory or shipped name; none stands for the shipped default.

    Raises:
        InvalidValue: one that cannot be loaded, or names that are not distinct.
    """
    found = tuple(map(named_inspection, names or [default_name()]))
    pairs = zip(names, found, strict=False)
    taken = frozenset(one.name for name, one in pairs if Path(name).name.startswith(MATERIALISED))
    chosen = ActiveInspections(inspections=found, from_registry=taken, by_default=not names)
    replace_active(chosen)
    return chosen


def replace_active(inspections: ActiveInspections) -> None:
    """Makes these inspections the active ones, at once, except where ``using`` says otherwise."""
    global _active
    _active = inspections


@contextmanager
def using(inspections: ActiveInspections | None) -> Generator[None]:
    """In this block, its tasks and its threads these inspections are the active ones; None changes nothing."""
    before = _in_use.get()
    _in_use.set(inspections or before)
    try:
        yield
    finally:
        # Not by the token: a block may end in another task than the one that began it, as a response that streams does.
        _in_use.set(before)


def active() -> ActiveInspections:
    """The active inspections: those of ``using`` around the caller, else of the last ``activate``, else of the environment."""
    return (
        _in_use.get() or _active or activate([name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name])
    )


def named_inspection(name: str | Path) -> Inspection:
    """The inspection in a directory, or the shipped one of this name. Raises ``InvalidValue``."""
    return load_inspection(inspection_directory(name))


def inspection_directory(name: str | Path) -> Path:
    """The directory itself, or that of the shipped inspection of this name. Raises ``InvalidValue`` where there is none."""
    shipped = shipped_names()
    if str(name) in shipped:
        return SHIPPED / name
    if str(name).startswith(REFERENCE):
        raise InvalidValue(
            "inspection", str(name), f"names a version in a registry; set VQC_REGISTRY, or write ./{name}"
        )
    if not Path(name).is_dir():
        valid = (
            f"must be a directory with an inspection, or one of {', '.join(shipped)}; `vqc inspection new` makes one"
        )
        raise InvalidValue("inspection", str(name), valid)
    return Path(name)


def default_name() -> str:
    """The name of the shipped inspection that is active where none is named."""
    return (SHIPPED / "DEFAULT").read_text("utf-8").strip()


def shipped_names() -> list[str]:
    """The names of the inspections that come with the product."""
    return sorted(path.name for path in SHIPPED.iterdir() if path.is_dir())


def missions() -> dict[str, Mission]:
    """Every active mission by name."""
    return active().missions


def mission_named(name: str) -> Mission:
    """The active mission with this exact name.

    >>> mission_named("挡风板安装检查").domain
    'bbu'

    Raises:
        UnknownMission: no such mission; the message names the nearest one.
    """
    try:
        return missions()[name]
    except KeyError:
        raise UnknownMission(name, missions()) from None


def load_missions(path: Path) -> dict[str, Mission]:
    """Additional missions by name, from a file like an inspection's ``missions.yaml``, asked with the default prompts.

    >>> import tempfile
    >>> text = "[{name: 塔灯检查, domain: rru, focus: 塔灯, requirement: 塔灯亮, key_items: [{name: 塔灯}]}]"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "further.yaml")
    ...     _ = path.write_text(text, "utf-8")
    ...     load_missions(path)["塔灯检查"].key_items[0].required
    True

    Raises:
        InvalidValue: an unreadable file or an invalid field; the message names both.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(str(path), type(error).__name__, "must be a readable UTF-8 YAML file") from error
    default = active().inspections[0]
    further = parse_missions(text, str(path), default.header, default.prompts)
    for name in further:
        if name in missions():
            raise InvalidValue(f"{path}: name", name, "is a built-in mission; choose another name")
    return further
