"""Tickets of meter boxes: the verdict follows the flaws, and files are those that trainer and operators read."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from scenes.meters import __main__ as command
from scenes.meters.rules import CHECKS, judge_photos
from scenes.meters.tickets import plan_meter_ticket
from scenes.meters.words import View
from scenes.meters.write import write_meter_tickets, write_photos
from scenes.tickets import TicketMix
from service.judging.evidence import evidence
from tests.support.inspections import inspections
from trainer.data import validate
from vqc.errors import InvalidValue
from vqc.verdict import Verdict, VerdictAnswer

FRONT, ENTRY, METER = (
    ["cover/closed", "seal/present,intact"],
    ["gland/fitted", "wire/fastened,insulated"],
    ["housing/rust"],
)


@pytest.mark.parametrize(
    ("mission", "photos", "verdict", "reason"),
    [
        ("Sealing", [FRONT], Verdict.PASS, "the cover is closed and the seal is present and intact"),
        ("Sealing", [FRONT, METER], Verdict.PASS, None),
        ("Sealing", [METER, ["cover/open", "seal/missing"]], Verdict.FAIL, "photo 2 shows an open cover"),
        ("Sealing", [["cover/closed", "seal/missing"]], Verdict.FAIL, "photo 1 shows a missing seal"),
        ("Sealing", [ENTRY, []], Verdict.FAIL, "no photo shows a cover"),
        ("Wiring", [ENTRY], Verdict.PASS, None),
        ("Wiring", [["gland/missing", "wire/loose,bare"]], Verdict.FAIL, "photo 1 shows a loose wire"),
        ("Wiring", [["gland/fitted", "wire/fastened,bare"]], Verdict.FAIL, "photo 1 shows a bare wire"),
        ("Reading", [["display/legible", "housing/no rust"]], Verdict.PASS, None),
        ("Reading", [["display/illegible,dark"]], Verdict.FAIL, "photo 1 shows an illegible display"),
        ("Reading", [METER], Verdict.FAIL, "photo 1 shows a housing with rust"),
        ("Reading", [["display/legible"], FRONT], Verdict.FAIL, "no photo shows a housing"),
    ],
)
def test_the_rules_decide_and_the_reason_names_what_decided(mission, photos, verdict, reason) -> None:
    answer = judge_photos(mission, photos)
    assert answer.verdict is verdict
    assert reason is None or answer.reason == reason


@pytest.mark.parametrize("mission", CHECKS)
def test_the_verdict_follows_what_the_photos_show(mission: str) -> None:
    """The rules agree with the service's own reading of the lines, in the inspection's words."""
    seen = set()
    with inspections("meters") as active:
        for seed in range(80):
            ticket = plan_meter_ticket(seed, mission)
            photos = [[item.desc for item in plan.objects] for plan in ticket.photos]
            assert judge_photos(mission, photos) == VerdictAnswer(verdict=ticket.true_label, reason=ticket.reason)
            assert ticket.label is ticket.true_label
            assert 1 <= len(ticket.photos) <= 4
            read = evidence(active.missions[mission], [plan.line for plan in ticket.photos])
            assert read.verdict is not (Verdict.PASS if ticket.label is Verdict.FAIL else Verdict.FAIL)
            seen |= {ticket.label, *("irrelevant" for plan in ticket.photos if plan.view is View.IRRELEVANT)}
    assert seen == {*Verdict, "irrelevant"}


@pytest.mark.parametrize("mission", CHECKS)
def test_hidden_failures_show_in_no_line(mission: str) -> None:
    for seed in range(10):
        ticket = plan_meter_ticket(seed, mission, mix=TicketMix(fail=0, hidden=1))
        photos = [[item.desc for item in plan.objects] for plan in ticket.photos]
        assert (ticket.true_label, ticket.hidden) == (Verdict.FAIL, True)
        assert judge_photos(mission, photos).verdict is Verdict.PASS
        assert [plan.hidden for plan in ticket.photos if plan.hidden] == [CHECKS[mission].hidden]
        assert ticket.reason.endswith(CHECKS[mission].hidden)


def test_noise_flips_the_filed_verdict_only() -> None:
    for seed in range(20):
        ticket = plan_meter_ticket(seed, "Sealing", mix=TicketMix(noise=1))
        assert ticket.noise
        assert ticket.label is not ticket.true_label


def test_other_missions_are_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="Sealing, Wiring, Reading"):
        plan_meter_ticket(0, "Roof")


def test_the_files_are_what_the_trainer_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["meters", str(tmp_path), *["--seed", "3", "--count", "6", "--tickets", "9", "--text-tickets", "4"]],
    )
    command.main()
    assert capsys.readouterr().out.split() == [str(tmp_path / f"{name}.jsonl") for name in ("data", "tickets", "train")]
    tickets = [json.loads(line) for line in (tmp_path / "tickets.jsonl").read_text("utf-8").splitlines()]
    for ticket in tickets:
        folder = f"tickets/{ticket['mission']}/{ticket['verdict']}/{ticket['group_id']}"
        assert ticket["photos"] == [f"{folder}/{n}.jpg" for n in range(1, len(ticket["summaries"]) + 1)]
        assert all((tmp_path / photo).is_file() for photo in ticket["photos"])
    trained = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text("utf-8").splitlines()][6:]
    ways = {(one["mission"], bool(one["photos"]), bool(one["summaries"])) for one in trained[:9]}
    assert ways == {(mission, *way) for mission in CHECKS for way in ((True, True), (True, False), (False, True))}
    assert [(one["photos"], bool(one["summaries"])) for one in trained[9:]] == [([], True)] * 4
    assert not {one["group_id"] for one in trained[9:]} & {one["group_id"] for one in tickets}
    with inspections("meters"):
        report = validate(tmp_path / "train.jsonl", decode=True)
    assert (report.usable, report.problems) == (19, ())


def test_the_number_of_workers_changes_nothing(tmp_path: Path) -> None:
    for workers in (1, 2):
        write_photos(tmp_path / str(workers), seed=5, count=6, workers=workers)
        write_meter_tickets(tmp_path / str(workers), seed=5, count=3, workers=workers)
    one, two = (
        {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert one == two
    assert len(one) > 8
