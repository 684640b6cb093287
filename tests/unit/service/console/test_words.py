"""The console's words: what a page asks for is there, in both languages, with the same values."""

import re
from pathlib import Path

import service.console
from service.console.words import catalogue

FOLDER = Path(service.console.__file__).parent


def test_both_languages_take_the_same_values():
    for key, entry in catalogue().items():
        zh, en = (sorted(re.findall(r"{(\w+)}", text)) for text in (entry.zh, entry.en))
        assert zh == en, key
        assert entry.zh.strip()
        assert entry.en.strip()


def test_every_key_that_is_written_out_exists():
    asked = set()
    for path in (*FOLDER.glob("*.py"), *FOLDER.glob("templates/*.html")):
        asked |= {
            (path.name, key) for key in re.findall(r"""\bt\(['"]([a-z_]+\.[\w-]+)['"][,)]""", path.read_text("utf-8"))
        }
    assert asked
    assert {(name, key) for name, key in asked if key not in catalogue()} == set()


def test_no_template_has_inline_script_style_or_handlers():
    for path in FOLDER.glob("templates/*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", text), path.name
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text)), path.name
        assert not re.search(r'(?:src|href)="(?:https?:)?//', text), path.name
