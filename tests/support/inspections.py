"""Inspections in a directory of the test, and making them active for a while."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vqc.inspection import MISSIONS
from vqc.missions import SHIPPED, ActiveInspections, activate, default_name

TOWER_LIGHT = """
- name: 塔灯检查
  domain: tower
  focus: 塔顶航空障碍灯是否点亮
  requirement: 塔灯存在并点亮
  key_items: [{name: 塔灯, positive: [点亮], negative: [熄灭, 破损]}]
"""
"""A mission that no shipped inspection has."""


def copy_of_default(out: Path, *, further: str = "", name: str = "") -> Path:
    """A copy of the shipped default inspection with ``further`` missions, under its own or another ``name``."""
    default = default_name()
    shutil.copytree(SHIPPED / default, out)
    with (out / MISSIONS).open("a", encoding="utf-8") as file:
        file.write(further)
    if name:
        header = out / "inspection.yaml"
        header.write_text(header.read_text("utf-8").replace(f"name: {default}", f"name: {name}"), "utf-8")
    return out


@contextmanager
def inspections(*names: str | Path) -> Iterator[ActiveInspections]:
    """These inspections are the active ones inside the block."""
    try:
        yield activate(names)
    finally:
        activate(())
