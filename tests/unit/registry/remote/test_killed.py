"""A process that dies at any one of its requests: log and tags agree, and the work can be done again.

A request is carried out before the process dies. Dying before it is the state that the request before it left.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import ANY, Registry
from registry.audit_log import last_moves
from registry.guidance import guidance_alias, push_guidance
from tests.support.memory_registry import MemoryRegistry
from tests.support.registry_models import write_model
from vqc.contract import digest

MISSION = "挡风板安装检查"
ALIAS = guidance_alias(MISSION)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests in order, so that their numbers mean the same in every run."""
    for module in ("registry.core", "registry.remote.store"):
        monkeypatch.setattr(f"{module}.map_in_threads", lambda function, items: list(map(function, items)))


def record(step: int) -> bytes:
    rest = {"mission": MISSION, "rules": [], "step": step}
    return json.dumps({**rest, "version": digest(rest)}).encode()


def check_agreement(registry: Registry) -> None:
    """Every version has one entry and every entry its version; every alias points where its moves lead."""
    log = registry.audit()
    pushes = [entry.after for entry in log if entry.action == "push"]
    assert sorted(map(str, pushes)) == sorted(registry.store.versions())
    assert registry.store.aliases() == {alias: entry.after for alias, entry in last_moves(log).items()}
    for alias in registry.store.aliases():
        moves = [(entry.before, entry.after) for entry in log if entry.alias == alias and entry.action == "move"]
        assert [before for before, _ in moves] == [None, *(after for _, after in moves[:-1])], "one leads to the next"
    for version in registry.versions():
        registry.verify(version.digest)


def target(registry: Registry, step: int) -> str:
    return push_guidance(registry, record(step)).digest  # it is there: nothing is written


WORKS: dict[str, Callable[[Registry], object]] = {
    "push": lambda registry: push_guidance(registry, record(3)),
    "move": lambda registry: registry.move(ALIAS, target(registry, 2), expected=ANY),
    "new alias": lambda registry: registry.move("guidance-x", target(registry, 2), expected=ANY),
    "attach": lambda registry: registry.attach(ALIAS, "application/vnd.vqc.report+json", {"f1": 0.5}),
}


def check_deaths(start: MemoryRegistry, work: Callable[[Registry], object]) -> int:
    """Lets ``work`` die at each of its requests that change something; returns their number."""
    whole = start.copy()
    before = start.open().store.aliases()
    work(whole.open())
    deaths = [at for at, request in enumerate(whole.requests, 1) if request.startswith("PUT")]
    after = whole.open().store.aliases()
    for at in deaths:
        server = start.copy()
        assert server.runs_until(at, work)
        check_agreement(server.open())
        now = server.open().store.aliases()
        assert all(now.get(alias) in (before.get(alias), after[alias]) for alias in after), "the old state or the new"
        work(server.open())
        check_agreement(server.open())
        assert server.open().store.aliases() == after
    return len(deaths)


@pytest.mark.parametrize("has_referrers", [True, False], ids=["referrers API", "fallback tag"])
@pytest.mark.parametrize("kind", WORKS)
def test_a_death_at_any_request_leaves_log_and_tags_agreed(kind: str, has_referrers: bool) -> None:
    start = MemoryRegistry(has_referrers=has_referrers)
    for step in (1, 2):
        push_guidance(start.open(), record(step))
    start.open().move(ALIAS, target(start.open(), 1), expected=None)
    assert check_deaths(start, WORKS[kind]) >= 2


def test_a_death_at_any_request_of_a_models_push_leaves_log_and_tags_agreed(tmp_path: Path) -> None:
    first, second = (write_model(tmp_path / f"m{seed}", seed=seed, size=40, shards=1) for seed in (1, 2))
    start = MemoryRegistry()
    start.open().push(first, alias="champion")
    assert check_deaths(start, lambda registry: registry.push(second, alias="champion")) > 8


def test_a_version_that_an_earlier_release_left_without_its_entry_gets_it_at_the_next_push() -> None:
    server = MemoryRegistry()
    version = push_guidance(server.open(), record(1)).digest
    entry = next(name for name, content in server.manifests.items() if b"registry.entry" in content)
    del server.manifests[entry]
    assert server.open().audit() == []
    push_guidance(server.open(), record(1))
    assert [entry.after for entry in server.open().audit()] == [version]
