import pytest

from service.guidance.gate import Compared, GateRule, gate
from vqc.errors import InvalidValue
from vqc.verdict import Verdict

P, F = Verdict.PASS, Verdict.FAIL


def was(label, before, after, times):
    return [Compared(label=label, before=before, after=after)] * times


RIGHT = was(P, P, P, 20) + was(F, F, F, 20)


@pytest.mark.parametrize(
    ("tickets", "words"),
    [
        (RIGHT + was(P, F, P, 1), "of the resamples"),
        (RIGHT + was(P, F, P, 9) + was(F, F, P, 1), "false release rises from 0.000 to 0.048"),
        (RIGHT + was(P, P, F, 3), "relative error reduction -3.000"),
        (was(P, F, P, 10), "10 held-out tickets"),
        (RIGHT, "relative error reduction 0.000"),
        (RIGHT + was(P, P, None, 2), "relative error reduction -2.000"),
    ],
)
def test_a_change_that_does_not_help_is_refused_with_the_number(tickets, words):
    found = gate(tickets, GateRule(), seed=1)
    assert not found.passes
    assert any(words in reason.text for reason in found.reasons)


def test_a_change_that_helps_passes_and_is_measured():
    found = gate(RIGHT + was(P, F, P, 6) + was(F, None, F, 2) + was(P, F, F, 2), GateRule(), seed=1)
    assert (found.error_before, found.error_after, found.rer, found.reasons) == (0.2, 0.04, 0.8, ())


def test_the_bootstrap_is_drawn_from_the_seed():
    tickets = RIGHT + was(P, F, P, 2) + was(P, P, F, 1) + was(F, F, P, 1)
    shares = [gate(tickets, GateRule(), seed=seed).bootstrap_share for seed in (1, 1, 2)]
    assert shares[0] == shares[1]
    assert 0 < shares[0] < 1


@pytest.mark.parametrize("wrong", [{"min_rer": 0}, {"min_share": 1.5}, {"resamples": 0}, {"min_tickets": 0}])
def test_a_rule_is_checked(wrong):
    with pytest.raises(InvalidValue, match="gate"):
        GateRule(**wrong)


def test_no_ticket_passes_nothing():
    assert not gate([], GateRule(), seed=1).passes
