"""The overlay's markup and colours; what it does is seen in a browser, in tests/e2e."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from scenes.overlay import PALETTE, TYPES

CONSOLE = Path(__file__).parents[4] / "service" / "console"


def drawn(**values) -> str:
    env = Environment(loader=FileSystemLoader(CONSOLE / "templates"), autoescape=True)
    env.globals.update(t=lambda key: key, overlay_types=TYPES)
    source = "{% from 'overlay.html' import overlay with context %}{{ overlay(src, size_wh, caption, label=label) }}"
    return env.from_string(source).render(**values)


def test_descriptions_stay_inside_their_attribute():
    caption = {"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "'><img src=x onerror=alert(1)>"}}
    html = drawn(src='/a"b.jpg', size_wh=(8, 6), caption=caption, label="<b>")
    assert "<img" not in html
    assert "<b>" not in html
    assert 'data-width="8" data-height="6"' in html


def test_no_inline_style_or_script():
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", drawn(src=None, size_wh=None, caption=None, label=""))


def test_types_have_the_colours_of_the_drawn_overlay():
    css = (CONSOLE / "static" / "overlay.css").read_text("utf-8")
    found = re.findall(r"\.overlay-color-(\d) \{ --overlay-color: rgb\((\d+) (\d+) (\d+)\); \}", css)
    assert [tuple(map(int, rgb)) for _, *rgb in found] == list(PALETTE)
    assert [int(number) for number, *_ in found] == list(range(len(TYPES)))
