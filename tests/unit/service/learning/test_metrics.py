from dataclasses import replace

import pytest

from service.judging.records import Part
from service.learning.metrics import SelectedTicket, confusion, curve, headline, measures, scored_tickets
from vqc.verdict import Verdict

P, F = Verdict.PASS, Verdict.FAIL
RIGHT = SelectedTicket(
    group_id="a",
    part=Part.LEARN,
    label=P,
    verdict=P,
    score=0.9,
    needs_review=False,
    review_reasons=(),
    label_contradiction=False,
    sampled=4,
    parsed=4,
    planned=12,
)
RELEASED = replace(RIGHT, group_id="b", label=F, label_contradiction=True, part=Part.HOLDOUT, score=0.4, planted=P)
HELD = replace(RELEASED, group_id="c", needs_review=True, review_reasons=("divided_vote",), parsed=3, planted=F)
UNREAD = replace(
    RIGHT, group_id="d", label=F, verdict=None, score=0.0, needs_review=True, parsed=0, label_contradiction=False
)
UNKNOWN = replace(RIGHT, group_id="e", label=None)


def test_measures_of_a_small_run():
    found = measures([RIGHT, RELEASED, HELD, UNREAD, UNKNOWN])
    assert (found["tickets"], found["labelled"], found["accuracy"]) == (5, 4, 0.25)
    assert found["false_release"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["false_release_when_given"] == pytest.approx(1 / 3, abs=1e-6)
    assert (found["false_alarm"], found["accuracy_when_given"], found["coverage"]) == (0.0, 0.5, 0.6)
    assert found["parts"]["holdout"]["tickets"] == 2
    assert found["review_reasons"] == {"divided_vote": 1}
    assert (found["format_ok"], found["samples"]) == (15 / 20, {"drawn": 20, "planned": 60})
    assert found["label_noise_candidates"] == ["b", "c"]
    assert found["planted"] == {"noisy_labels": 1, "candidates": 2, "found": 1, "accuracy_against_truth": 0.5}


def test_the_confusion_matrix_counts_every_labelled_ticket_once():
    found = confusion([RIGHT, RELEASED, HELD, UNREAD, UNKNOWN])
    assert found == {"通过": {"通过": 1, "不通过": 0, "none": 0}, "不通过": {"通过": 2, "不通过": 0, "none": 1}}


def test_nothing_has_no_shares():
    found = measures([])
    assert (found["accuracy"], found["coverage"], found["format_ok"], found["planted"]) == (None, None, None, None)
    assert headline(found) == "0 labelled tickets: accuracy -, false release -, coverage -"


def test_a_ticket_without_a_verdict_is_never_released():
    assert [(one.verdict, one.label) for one in scored_tickets([UNREAD, UNKNOWN])] == [(F, F)]
    assert curve([RIGHT, RELEASED, UNREAD])[-1] == {"threshold": 0.4, "coverage": 1.0, "risk": 0.5}
