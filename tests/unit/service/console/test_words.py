"""The console's words: what a page asks for is there, in both languages, with the same values."""

import re
from pathlib import Path

import service.console
from engine.protocol import StartPhase
from registry.gates.findings import SENTENCES
from service.console.words import catalogue

FOLDER = Path(service.console.__file__).parent


def test_both_languages_take_the_same_values():
    for key, entry in catalogue().items():
        zh, en = (sorted(re.findall(r"{(\w+)}", text)) for text in (entry.zh, entry.en))
        assert zh == en, key
        assert entry.zh.strip()
        assert entry.en.strip()


def test_every_literal_key_exists():
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


def test_every_finding_of_a_gate_has_words_with_its_values():
    for code, sentence in SENTENCES.items():
        ours = re.findall(r"{(\w+)}", catalogue()[f"messages.{code}"].en)
        assert sorted(ours) == sorted(re.findall(r"{(\w+)}", sentence)), code


def test_every_phase_of_a_start_has_words():
    assert {phase for phase in StartPhase if f"models.phase_{phase}" not in catalogue()} == set()


def test_every_remark_of_the_service_has_words():
    made = {
        code
        for path in FOLDER.parent.joinpath("models").glob("*.py")
        for code in re.findall(
            r'LocalizedMessage\.of\(\s*"(\w+)"|_wait_until_ready\(\s*engine, "(\w+)"', path.read_text("utf-8")
        )
    }
    codes = {code for pair in made for code in pair if code}
    assert {"moved", "other", "fetching", "finishing", "starting_again"} <= codes
    assert {code for code in codes if f"messages.{code}" not in catalogue()} == set()
