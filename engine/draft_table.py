"""A table of which token follows which, learnt from the answers while it is used: the source of draft tokens.

Captions, Stage-A lines and verdicts are forms: much of an answer follows from the words before it, and only the numbers
are new. So all numbers of one length count as the same context. The table maps the last tokens of a text to the token
that followed, with a confidence; after a few answers it knows the form. It costs 0.2 ms for 240 answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDERS = np.array([24, 8, 4])
"""Context lengths in tokens, the longest first: 24 cover the numbers of a box, 4 are enough inside a word."""
_SLOTS = 1 << 20
_MIN_CONFIDENCE = 3
"""The confidence from which a token is proposed: +1 for each time it followed, -2 for each time another one did."""
_MAX_CONFIDENCE = 15


class DraftTable:
    """What followed each context so far. ``kinds`` (vocabulary,) maps a token to its class in a context."""

    def __init__(self, kinds: NDArray[np.int32]) -> None:
        self._kinds = kinds
        self._tags = np.zeros(_SLOTS, np.uint32)
        self._tokens = np.zeros(_SLOTS, np.int32)
        self._confidence = np.zeros(_SLOTS, np.int8)

    def learn(self, tokens: NDArray[np.int32], ends: NDArray[np.int32], produced: NDArray[np.int32]) -> None:
        """Learns the last ``produced`` of the first ``ends`` tokens of each row; both are (rows,)."""
        _learn(tokens, ends, produced, self._kinds, self._tags, self._tokens, self._confidence)

    def drafts(self, tokens: NDArray[np.int32], ends: NDArray[np.int32], limits: NDArray[np.int32]) -> list[list[int]]:
        """The likely continuation of the first ``ends`` tokens of each row, at most ``limits`` tokens; both are (rows,)."""
        drafts = np.zeros((len(ends), max(1, int(limits.max(initial=0)))), np.int32)
        counts = np.zeros(len(ends), np.int32)
        _draft(tokens, ends, limits, self._kinds, self._tags, self._tokens, self._confidence, drafts, counts)
        return [row[:count] for row, count in zip(drafts.tolist(), counts.tolist(), strict=True)]


def kinds_of(vocabulary: Mapping[str, int]) -> NDArray[np.int32]:
    """The class of each token in a context: itself, or any number with as many digits; (vocabulary,).

    >>> kinds_of({"箱": 0, "7": 1, "8": 2, "12": 3}).tolist()
    [0, -1, -1, -2]
    """
    kinds = np.arange(max(vocabulary.values()) + 1, dtype=np.int32)
    for text, token in vocabulary.items():
        if text.isascii() and text.isdigit():
            kinds[token] = -len(text)
    return kinds


@njit
def _slot(
    kinds, context, end, order
):  # (index, tag): a hash of the classes of the last ``order`` tokens before ``end``
    mixed = np.uint64(order)
    for place in range(max(0, end - order), end):
        token = context[place]
        kind = kinds[token] if token < len(kinds) else token
        mixed = (mixed ^ np.uint64(np.uint32(kind))) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return np.int64(mixed & np.uint64(_SLOTS - 1)), np.uint32(mixed >> np.uint64(32))


@njit
def _learn(rows, ends, produced, kinds, tags, tokens, confidence):
    for row in range(len(ends)):
        for place in range(ends[row] - produced[row], ends[row]):
            token = rows[row, place]
            for order in _ORDERS:
                slot, tag = _slot(kinds, rows[row], place, order)
                # No chaining: contexts whose hashes share a slot compete for it, and a newcomer wears the old one down
                # before it takes the slot. The cap lets a changed form replace the old one after a few answers.
                if tags[slot] == tag and tokens[slot] == token:
                    confidence[slot] = min(_MAX_CONFIDENCE, confidence[slot] + 1)
                elif confidence[slot] > 2:
                    confidence[slot] -= 2
                else:
                    tags[slot], tokens[slot], confidence[slot] = tag, token, 1


@njit
def _draft(rows, ends, limits, kinds, tags, tokens, confidence, drafts, counts):
    context = np.empty(_ORDERS[0] + drafts.shape[1], np.int32)
    for row in range(len(ends)):
        known = min(_ORDERS[0], ends[row])
        context[:known] = rows[row, ends[row] - known : ends[row]]
        for place in range(limits[row]):
            token = -1
            for order in _ORDERS:  # the longest context that is confident decides
                slot, tag = _slot(kinds, context, known + place, order)
                if tags[slot] == tag and confidence[slot] >= _MIN_CONFIDENCE:
                    token = tokens[slot]
                    break
            if token < 0:
                break
            # A draft is the context of the next one; one wrong draft makes the rest of the row wrong too.
            context[known + place] = drafts[row, place] = token
            counts[row] += 1
