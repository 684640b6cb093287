"""A table of what follows what, learnt while it is used: the next tokens of an answer, guessed from the last ones.

Captions, Stage-A lines and verdicts are forms: much of an answer follows from the words before it, and only the numbers are
new. So the table is blind for the figures of a number. It maps the last tokens of a text to the token that followed, with
how sure that is; a few answers in, it knows the form, whichever it is, and costs 0.2 ms for 240 answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDERS = np.array([24, 8, 4])
"""Tokens of context, the longest first: 24 hold the numbers of a box, 4 are enough inside a word."""
_SLOTS = 1 << 20
_SURE = 3
"""So often more must a token have followed than another (which counts twice) before it is guessed."""
_SUREST = 15


class DraftTable:
    """What has followed the last tokens so far. ``kinds`` (vocabulary,) is what a token counts as in a context."""

    def __init__(self, kinds: NDArray[np.int32]) -> None:
        self._kinds = kinds
        self._tags = np.zeros(_SLOTS, np.uint32)
        self._tokens = np.zeros(_SLOTS, np.int32)
        self._sure = np.zeros(_SLOTS, np.int8)

    def learn(self, tokens: NDArray[np.int32], ends: NDArray[np.int32], said: NDArray[np.int32]) -> None:
        """Takes in the last ``said`` of the first ``ends`` tokens of each row; (rows,) both."""
        _learn(tokens, ends, said, self._kinds, self._tags, self._tokens, self._sure)

    def drafts(self, tokens: NDArray[np.int32], ends: NDArray[np.int32], room: NDArray[np.int32]) -> list[list[int]]:
        """What is likely to follow the first ``ends`` tokens of each row, ``room`` tokens at most; (rows,) both."""
        found = np.zeros((len(ends), max(1, int(room.max(initial=0)))), np.int32)
        counts = np.zeros(len(ends), np.int32)
        _draft(tokens, ends, room, self._kinds, self._tags, self._tokens, self._sure, found, counts)
        return [row[:count] for row, count in zip(found.tolist(), counts.tolist(), strict=True)]


def kinds_of(vocabulary: Mapping[str, int]) -> NDArray[np.int32]:
    """What each token counts as in a context: itself, or any number with as many figures; (vocabulary,).

    >>> kinds_of({"箱": 0, "7": 1, "8": 2, "12": 3}).tolist()
    [0, -1, -1, -2]
    """
    kinds = np.arange(max(vocabulary.values()) + 1, dtype=np.int32)
    for text, token in vocabulary.items():
        if text.isascii() and text.isdigit():
            kinds[token] = -len(text)
    return kinds


@njit
def _slot(kinds, context, end, order):  # (index, tag) of the last ``order`` tokens before ``end``
    mixed = np.uint64(order)
    for place in range(max(0, end - order), end):
        token = context[place]
        kind = kinds[token] if token < len(kinds) else token
        mixed = (mixed ^ np.uint64(np.uint32(kind))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.int64(mixed & np.uint64(_SLOTS - 1)), np.uint32(mixed >> np.uint64(32))


@njit
def _learn(rows, ends, said, kinds, tags, tokens, sure):
    for row in range(len(ends)):
        for place in range(ends[row] - said[row], ends[row]):
            token = rows[row, place]
            for order in _ORDERS:
                slot, tag = _slot(kinds, rows[row], place, order)
                if tags[slot] == tag and tokens[slot] == token:
                    sure[slot] = min(_SUREST, sure[slot] + 1)
                elif sure[slot] > 2:
                    sure[slot] -= 2
                else:
                    tags[slot], tokens[slot], sure[slot] = tag, token, 1


@njit
def _draft(rows, ends, room, kinds, tags, tokens, sure, found, counts):
    context = np.empty(_ORDERS[0] + found.shape[1], np.int32)
    for row in range(len(ends)):
        known = min(_ORDERS[0], ends[row])
        context[:known] = rows[row, ends[row] - known : ends[row]]
        for place in range(room[row]):
            token = -1
            for order in _ORDERS:
                slot, tag = _slot(kinds, context, known + place, order)
                if tags[slot] == tag and sure[slot] >= _SURE:
                    token = tokens[slot]
                    break
            if token < 0:
                break
            context[known + place] = found[row, place] = token
            counts[row] += 1
