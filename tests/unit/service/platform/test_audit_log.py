"""The audit log: complete under many writers and dying ones, and whoever edits it is noticed."""

import json
import multiprocessing
from datetime import UTC, datetime, timedelta

import pytest

from service.platform.audit_log import Action, AuditLog

AT = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)


@pytest.fixture
def log(tmp_path) -> AuditLog:
    return AuditLog(tmp_path / "audit")


def file_of(log: AuditLog, month: str = "2026-11"):
    return log._folder / f"{month}.jsonl"


def write(log: AuditLog, *tickets: str) -> None:
    for ticket in tickets:
        log.append(AT, Action.TICKET_VIEWED, {"ticket": ticket, "by": None})


def tickets(log: AuditLog, since=None) -> list[object]:
    return [entry["ticket"] for entry in log.entries(since)]


def test_entries_are_read_in_order_with_a_file_for_each_month(log):
    write(log, "a", "b\u2028c\u0085d\n")
    log.append(AT + timedelta(hours=2), Action.TICKET_VIEWED, {"ticket": "e"})
    assert tickets(log) == ["a", "b\u2028c\u0085d\n", "e"]
    assert tickets(log, since=datetime(2026, 12, 1, tzinfo=UTC)) == ["e"]
    assert "by" not in next(iter(log.entries()))
    assert log.check() == []


@pytest.mark.parametrize("damage", ["change", "remove", "insert", "swap"])
def test_a_line_that_was_changed_removed_added_or_moved_is_found(log, damage):
    write(log, "a", "b", "c", "d")
    lines = file_of(log).read_text().splitlines(keepends=True)
    changed = {
        "change": [lines[0], lines[1].replace('"b"', '"x"'), *lines[2:]],
        "remove": [lines[0], *lines[2:]],
        "insert": [lines[0], lines[0], *lines[1:]],
        "swap": [lines[1], lines[0], *lines[2:]],
    }[damage]
    file_of(log).write_text("".join(changed))
    assert log.check() != []


def test_the_part_of_a_line_that_a_dying_process_left_is_kept_apart(log):
    write(log, "a")
    with file_of(log).open("ab") as file:
        file.write(b'{"at": "2026')
    write(log, "b", "c")
    assert tickets(log) == ["a", "b", "c"]
    assert len(log.check()) == 1


def test_a_long_last_line_is_read_whole(log):
    write(log, "x" * 200_000, "b")
    assert log.check() == []


def _append(log: AuditLog) -> None:
    write(log, *"0123456789")


def test_many_processes_write_one_chain(log):
    writers = [multiprocessing.get_context("fork").Process(target=_append, args=(log,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert (len(tickets(log)), log.check()) == (40, [])
    assert all(json.loads(line) for line in file_of(log).read_bytes().splitlines())
