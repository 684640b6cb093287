"""One vocabulary: texts for users avoid the words that the glossary bans; events and functions have names of one form."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import user_texts
from tests.support.user_texts import ROOT, Text, banned_words, glossary_terms, pages, source_trees

SURFACES = [
    user_texts.page_texts,
    user_texts.setting_texts,
    user_texts.help_texts,
    user_texts.openapi_texts,
    user_texts.metric_texts,
    user_texts.message_texts,
    user_texts.alert_texts,
    user_texts.dashboard_texts,
    user_texts.console_texts,
    user_texts.deployment_texts,
]
LONGEST_LINE = 140
LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}
EVENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")

_IRREGULAR = (
    "told kept said shown taken made given held sent gone heard written drawn seen known done built brought chosen felt fed "
    "flown forgotten frozen got hidden laid led lent lost meant met paid proven risen sold shaken shot spoken spent stood "
    "stolen stuck struck sworn swept taught torn thought thrown understood woken worn won begun bent bitten blown broken "
    "caught dealt dug driven eaten fallen fought grown hung leapt learnt lain lit mistaken sunk slept slid sought sprung sung "
    "swum swung wrung spun spelt rung found left bound wound"
)
IRREGULAR = frozenset(re.findall(r"\w+", _IRREGULAR))
NOT_PARTICIPLES = {"need", "feed", "seed", "speed", "embed", "shed"}
PURE: set[str] = set()
"""Functions that may be named by a participle as ``sorted`` is: they return a changed copy of what they are given."""
MOST_PARTICIPLES = 14


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__)
def test_no_text_uses_a_word_to_avoid(surface: Callable[[], Iterator[Text]]) -> None:
    banned = banned_words()
    texts = list(surface())
    assert texts
    found = [
        f"{where}: {word!r} in …{' '.join(text[max(0, hit.start() - 60) : hit.end() + 60].split())}…"
        for where, text in texts
        for word, pattern in banned.items()
        for hit in pattern.finditer(text)
    ]
    assert not found, "\n".join(["docs/glossary.md says what to write instead", *found])


def test_log_events_are_names_from_one_place_each() -> None:
    events = list(log_events())
    assert events
    prose = [f"{where}: {event!r}" for where, event in events if not EVENT.fullmatch(event)]
    often = Counter(event for _, event in events)
    repeated = [f"{where}: {event!r}" for where, event in events if often[event] > 1]
    assert (prose, repeated) == ([], [])


def log_events() -> Iterator[Text]:
    """Where each event of structlog is logged, and its name. The trainer's progress lines are for a terminal: no events."""
    for path, tree in source_trees():
        if "structlog" not in {
            name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
        }:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_log_call(node.func):
                event = node.args[0]
                assert isinstance(event, ast.Constant), f"{path}:{node.lineno}: an event is a literal"
                yield f"{path}:{node.lineno}", str(event.value)


def _is_log_call(method: ast.Attribute) -> bool:
    owner = ast.unparse(method.value).rsplit(".", 1)[-1].strip("_").lower()
    return method.attr in LEVELS and owner in ("log", "logger")


def test_functions_are_named_by_verbs_or_nouns() -> None:
    named = [(where, name) for where, name in participles() if name not in PURE]
    assert [f"{where} {name}" for where, name in named] == []
    assert len(PURE) <= MOST_PARTICIPLES


def participles() -> Iterator[Text]:
    """Functions and methods whose name is one participle: ``_told``, ``kept``."""
    for path, tree in source_trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                word = node.name.strip("_")
                regular = word.endswith("ed") and word not in NOT_PARTICIPLES
                if "_" not in word and (regular or word in IRREGULAR):
                    yield f"{path}:{node.lineno}", node.name


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short(page: Path) -> None:
    """Addresses of links do not count: they cannot be wrapped."""
    lines = enumerate(re.sub(r"\]\([^)]*\)", "]", page.read_text("utf-8")).splitlines(), 1)
    assert [f"{number}: {len(line)}" for number, line in lines if len(line) > LONGEST_LINE] == []


def test_the_glossary_is_short() -> None:
    assert 20 <= len(glossary_terms()) <= 40
