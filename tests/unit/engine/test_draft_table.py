"""What has followed before is guessed, numbers by their length only, and unlearnt when it no longer holds."""

from __future__ import annotations

import re

import numpy as np

from engine.draft_table import DraftTable, kinds_of

VOCABULARY = {
    **{str(figure): figure for figure in range(10)},
    "[": 10,
    ", ": 11,
    "]": 12,
    "箱": 13,
    "门": 14,
    "开": 15,
    "关": 16,
}


class TaughtTable:
    """A table that is taught whole texts, any number of times."""

    def __init__(self) -> None:
        self.table = DraftTable(kinds_of(VOCABULARY))

    def learn(self, text: str, times: int = 1) -> None:
        tokens = np.array([encoded(text)], np.int32)
        whole = np.array([tokens.shape[1]], np.int32)
        for _ in range(times):
            self.table.learn(tokens, whole, whole)

    def guess(self, text: str, room: int = 8) -> str:
        tokens = np.array([encoded(text)], np.int32)
        (drafts,) = self.table.drafts(tokens, np.array([tokens.shape[1]], np.int32), np.array([room], np.int32))
        return "".join(word for token in drafts for word, number in VOCABULARY.items() if number == token)


def encoded(text: str) -> list[int]:
    return [VOCABULARY[word] for word in re.findall(", |.", text)]


def test_nothing_is_guessed_before_it_was_seen_often_enough() -> None:
    table = TaughtTable()
    assert table.guess("箱门") == ""
    table.learn("箱门开", 2)
    assert table.guess("箱门") == ""
    table.learn("箱门开")
    assert table.guess("箱门") == "开"


def test_numbers_count_by_their_length() -> None:
    table = TaughtTable()
    for first, second in ((17, 42), (28, 93), (55, 60), (71, 18), (90, 37)):
        table.learn(f"箱[{first}, {second}]门")
    assert table.guess("箱[34") == ", "  # the next number is unpredictable
    assert table.guess("箱[34, 65") == "]门"


def test_a_guess_ends_where_the_room_does() -> None:
    table = TaughtTable()
    table.learn("箱门开箱门开箱门开", 4)
    assert table.guess("箱", room=2) == "门开"
    assert table.guess("箱", room=0) == ""


def test_the_longest_context_that_is_known_decides() -> None:
    table = TaughtTable()
    table.learn("关关关关箱门箱门开", 5)
    table.learn("开开开开箱门箱门关", 5)
    assert table.guess("关关关关箱门箱门") == "开"
    assert table.guess("开开开开箱门箱门") == "关"


def test_what_no_longer_holds_is_unlearnt() -> None:
    table = TaughtTable()
    table.learn("箱门开", 100)
    table.learn("箱门关", 12)
    assert table.guess("箱门") == "关"


def test_rows_are_told_apart() -> None:
    table = TaughtTable()
    table.learn("箱门开", 4)
    rows = np.array([encoded("箱门开关"), encoded("开箱门关"), encoded("关关关关")], np.int32)
    ends, room = np.array([2, 3, 4], np.int32), np.array([8, 8, 8], np.int32)
    drafts = table.table.drafts(rows, ends, room)
    assert drafts[0] == encoded("开")
    assert drafts[2] == []
