"""The comparison with ms-swift, without ms-swift: the expected and the unexpected differences, and its samples."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tools.swift_parity.__main__ import table
from tools.swift_parity.compare import IGNORED, ModelInput, ParityRow, unexpected_differences
from tools.swift_parity.samples import Case, Fit, cases
from trainer.tiny_checkpoint import SIZES

NEWLINE = 9
PIXELS = np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6)
OURS = ModelInput(ids=[1, 2, 3, 4], labels=[IGNORED, IGNORED, 3, 4], pixels_NX=PIXELS)
THEIRS = ModelInput(ids=[1, 2, 3, 4, NEWLINE], labels=[IGNORED, IGNORED, 3, 4, NEWLINE], pixels_NX=PIXELS)
SAME = ParityRow(name="a", fit=Fit.UNTOUCHED, ours=OURS, theirs=THEIRS, loss=8.0, loss_answer=8.0, loss_newline=8.1)
SHORT = replace(THEIRS, ids=[1, 3, 4, NEWLINE], labels=[IGNORED, 3, 4, NEWLINE], pixels_NX=PIXELS[:3])


def with_theirs(row: ParityRow = SAME, **changed: object) -> ParityRow:
    return replace(row, theirs=replace(row.theirs, **changed))


def test_one_more_token_and_its_loss_are_known():
    assert (
        unexpected_differences(SAME, NEWLINE, limits=True) == unexpected_differences(SAME, NEWLINE, limits=False) == []
    )
    assert (SAME.has_same_tokens, SAME.levels, SAME.mean_levels) == (True, 0, 0)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (with_theirs(ids=[1, 7, 3, 4, NEWLINE]), "4 tokens of ours are not the first of ms-swift's 5"),
        (with_theirs(labels=[IGNORED, IGNORED, 3, 4, IGNORED]), "exactly our labels and one newline"),
        (with_theirs(labels=[IGNORED, 3, IGNORED, 4, NEWLINE]), "labelled differently"),
        (with_theirs(pixels_NX=PIXELS[:3]), r"patches \(4, 6\) differ from \(3, 6\)"),
        (with_theirs(pixels_NX=PIXELS + np.float32(1 / 127.5)), "1.00 grey levels"),
        (replace(SAME, loss_answer=8.0001), "8.000000 differs from 8.000100"),
        (replace(SAME, loss_answer=float("nan")), "differs from nan"),
        (replace(SAME, fit=Fit.ROUNDED, loss_answer=8.001), "by more than 0.0005"),
        (with_theirs(replace(SAME, fit=Fit.OVER), pixels_NX=PIXELS + np.float32(0.1)), "grey levels"),
    ],
)
def test_anything_else_is_unexpected_with_its_numbers(row: ParityRow, words: str):
    assert re.search(words, "\n".join(unexpected_differences(row, NEWLINE, limits=True)))


def test_resampling_may_round_a_pixel_differently():
    pixels = PIXELS.copy()
    pixels[0, 0] += 4 / 127.5
    row = with_theirs(replace(SAME, fit=Fit.ROUNDED, loss_answer=8.0003), pixels_NX=pixels)
    assert unexpected_differences(row, NEWLINE, limits=False) == []
    assert row.levels == pytest.approx(4, abs=1e-3)
    assert unexpected_differences(replace(row, fit=Fit.UNTOUCHED), NEWLINE, limits=False)


@pytest.mark.parametrize("fit", [Fit.OVER, Fit.UNDER])
def test_limits_of_its_own_must_show_in_the_tokens(fit: Fit):
    own = replace(SAME, fit=fit, theirs=SHORT, loss_answer=7.5)
    assert unexpected_differences(own, NEWLINE, limits=False) == []
    assert unexpected_differences(own, NEWLINE, limits=True)
    (sentence,) = unexpected_differences(replace(SAME, fit=fit), NEWLINE, limits=False)
    assert "limits of its own" in sentence
    assert (own.levels, own.mean_levels) == (None, None)


def test_the_table_has_a_row_a_sample_and_one_for_the_batch():
    lines = table([SAME, replace(SAME, name="b", theirs=SHORT)], (8.0, 8.0, 8.1))
    assert lines[2] == "| a | 4 | 4 + 1 | 0 (0.0000) | 8.000000 | 8.000000 | 8.100000 |"
    assert lines[3].startswith("| b | 4 | 3 + 1 | – |")
    assert lines[4].startswith("| all in one batch |")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return cases(tmp_path_factory.mktemp("parity"))


def test_the_sixteen_samples_are_what_their_names_say(samples: list[Case]):
    tiny = SIZES["tiny"]
    assert len(samples) == len({case.name for case in samples}) == 16
    for case in samples:
        assert len(case.files) == len(case.example.images)
        areas = [width * height for width, height in case.example.sizes_wh]
        match case.fit:
            case Fit.NONE:
                assert not areas
            case Fit.OVER:
                assert min(areas) > tiny.max_pixels
            case Fit.UNDER:
                assert max(areas) < tiny.min_pixels
            case Fit.UNTOUCHED | Fit.ROUNDED:
                assert all(tiny.min_pixels <= area <= tiny.max_pixels for area in areas)
                round_sides = all(side % 32 == 0 for size in case.example.sizes_wh for side in size)
                assert round_sides is (case.fit is Fit.UNTOUCHED)


def test_the_documented_table_names_every_sample(samples: list[Case]):
    page = (Path(__file__).parents[3] / "docs" / "training.md").read_text("utf-8")
    assert all(f"| {case.name} |" in page for case in samples)
