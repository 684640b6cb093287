"""Ticket labels follow the mission's rules; noise and hidden failures are planted as asked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scenes import tickets
from scenes.defect_rates import Hidden, Theme
from scenes.rules import RULES, true_verdict
from scenes.scene import Scene, ScenePlan
from scenes.tickets import TicketMix, draw_ticket
from scenes.vocabulary import Brand as B
from scenes.vocabulary import Fault, Fixing, Need, Sheath, bbu, fibre, fixing, shield, wire
from scenes.write import write_tickets
from vqc.errors import InvalidValue
from vqc.missions import mission_named, missions
from vqc.summary import render
from vqc.verdict import Verdict, VerdictAnswer

SHIELD, MOUNT, GROUND, CABLE = "挡风板安装检查", "BBU安装方式检查（正装）", "BBU接地线检查", "BBU线缆布放要求"
SMALL = (256, 192)


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickets whose photos are plans: their labels without the cost of painting."""
    monkeypatch.setattr(ScenePlan, "paint", lambda self: self)


@pytest.mark.parametrize(
    ("mission", "photos", "verdict", "reason"),
    [
        (SHIELD, [[bbu(B.ZTE, True, Need.MISSING)]], Verdict.FAIL, "图1中BBU设备未按要求配备挡风板"),
        (SHIELD, [[bbu(B.ZTE, True, Need.MET), shield(B.ZTE, True, False)]], Verdict.FAIL, "图1中挡风板安装方向错误"),
        (SHIELD, [[], [bbu(B.ZTE, True, Need.MET), shield(B.ZTE, True, True)]], Verdict.PASS, None),
        (SHIELD, [[bbu(B.ERICSSON, False, Need.NONE)]], Verdict.PASS, None),
        (SHIELD, [[], []], Verdict.FAIL, "所有图片中未见BBU设备"),
        (MOUNT, [[bbu(B.HUAWEI, True, Need.NONE)]], Verdict.FAIL, "所有图片中未见BBU安装螺丝"),
        (MOUNT, [[bbu(B.HUAWEI, True, Need.MISSING), fixing(Fixing.BBU_SCREW, None)]], Verdict.PASS, None),
        (
            MOUNT,
            [[bbu(B.HUAWEI, True, Need.NONE)], [fixing(Fixing.BBU_SCREW, Fault.RUST)]],
            Verdict.FAIL,
            "图2中BBU安装螺丝不符合要求",
        ),
        (
            GROUND,
            [[fixing(Fixing.CABINET_GROUND, None), wire(True)], [fixing(Fixing.BAR_GROUND, None), wire(False)]],
            Verdict.FAIL,
            "图2中电线分布散乱",
        ),
        (GROUND, [[fixing(Fixing.CABINET_GROUND, None), wire(True)]], Verdict.FAIL, "所有图片中未见地排处接地螺丝"),
        (
            CABLE,
            [[fixing(Fixing.BBU_PLUG, None)], [fixing(Fixing.ODF_PLUG, None), fibre(Sheath.NONE, False)]],
            Verdict.FAIL,
            "图2中光纤无保护措施",
        ),
        (
            CABLE,
            [[fixing(Fixing.BBU_PLUG, None)], [fixing(Fixing.ODF_PLUG, None), fibre(Sheath.ARMOURED, True)]],
            Verdict.FAIL,
            "图2中光纤弯曲半径不合理",
        ),
    ],
)
def test_the_rules_decide_and_the_reason_names_what_decided(
    mission: str, photos: list[list[str]], verdict: Verdict, reason: str | None
) -> None:
    answer = true_verdict(mission, photos)
    assert answer.verdict is verdict
    assert reason is None or answer.reason == reason


def test_every_rule_belongs_to_a_mission_of_the_product() -> None:
    assert set(RULES) == {
        mission.name for mission in missions().values() if mission.words == mission_named(SHIELD).words
    }
    with pytest.raises(InvalidValue, match="RRU线缆"):
        draw_ticket(0, "RRU防雷检查")


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize("mission", RULES)
def test_labels_follow_the_rules(mission: str) -> None:
    seen = set()
    for seed in range(60):
        ticket = draw_ticket(seed, mission)
        descs = [[item.desc for item in photo.objects] for photo in ticket.photos]
        assert true_verdict(mission, descs) == VerdictAnswer(verdict=ticket.true_label, reason=ticket.reason)
        assert ticket.label is ticket.true_label
        assert not ticket.noise
        assert not ticket.hidden
        assert 2 <= len(ticket.photos) <= 5
        assert len(ticket.reason) <= 60
        assert re.fullmatch(r"QC-[A-Za-z]+-[0-9]{8}-[0-9]+", ticket.group_id)
        seen |= {ticket.true_label, *("irrelevant" for photo in ticket.photos if photo.theme is Theme.IRRELEVANT)}
    assert seen == {Verdict.PASS, Verdict.FAIL, "irrelevant"}


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_noise_flips_the_share_that_was_asked_for(share: float) -> None:
    drawn = [draw_ticket(seed, SHIELD, mix=TicketMix(noise=share)) for seed in range(500)]
    assert all((ticket.label is not ticket.true_label) == ticket.noise for ticket in drawn)
    assert sum(ticket.noise for ticket in drawn) / 500 == pytest.approx(share, abs=0.045)


@pytest.mark.parametrize("mission", RULES)
def test_hidden_failures_show_in_the_photo_and_in_no_summary(mission: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mix = TicketMix(fail=0, hidden=1)
    for seed in range(4):
        ticket = draw_ticket(seed, mission, size_wh=SMALL, mix=mix)
        assert ticket.hidden
        assert ticket.true_label is Verdict.FAIL
        flawed = [photo for photo in ticket.photos if photo.hidden]
        assert len(flawed) == 1
        hidden = flawed[0].hidden
        assert hidden
        assert ticket.reason.endswith(hidden.value)
        assert not any(hidden.value in render(photo.summary) for photo in ticket.photos)
        descs = [[item.desc for item in photo.objects] for photo in ticket.photos]
        assert true_verdict(mission, descs).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("theme", "hidden"),
    [
        (Theme.RACK, Hidden.BROKEN_SHIELD),
        (Theme.RACK, Hidden.UPSIDE_DOWN),
        (Theme.GROUND_BAR, Hidden.CUT_WIRE),
        (Theme.PORTS, Hidden.TORN_FIBRE),
        (Theme.RRU, Hidden.TORN_FIBRE),
        (Theme.RRU, Hidden.CRACKED_RRU),
        (Theme.RRU_SITE, Hidden.CRACKED_RRU),
    ],
)
def test_a_hidden_flaw_changes_the_picture(theme: Theme, hidden: Hidden) -> None:
    for seed in range(3):
        plan = tickets.plan_scene(seed, theme=theme, hidden=hidden)
        carrier = tickets.CARRIER[hidden]
        things = [t for t in plan.stage.items if t.label and t.label.desc.startswith(carrier)]
        flag = {
            Hidden.BROKEN_SHIELD: "broken",
            Hidden.UPSIDE_DOWN: "upside_down",
            Hidden.CUT_WIRE: "cut",
            Hidden.TORN_FIBRE: "torn",
            Hidden.CRACKED_RRU: "cracked",
        }[hidden]
        assert any(thing.paint.keywords[flag] for thing in things)  # type: ignore[attr-defined]


def test_shares_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="exceed 1"):
        TicketMix(fail=0.8, hidden=0.4)
    with pytest.raises(ValueError, match="noise"):
        TicketMix(noise=1.5)


def test_the_same_arguments_give_the_same_ticket() -> None:
    first, again = (draw_ticket(9, GROUND, size_wh=SMALL, mix=TicketMix(noise=0.2)) for _ in range(2))
    assert [photo.image.tobytes() for photo in first.photos] == [photo.image.tobytes() for photo in again.photos]
    assert (first.group_id, first.label, first.reason) == (again.group_id, again.label, again.reason)
    assert all(isinstance(photo, Scene) for photo in first.photos)


def test_tickets_are_filed_as_operators_file_them(tmp_path: Path) -> None:
    mix = TicketMix(noise=0.3)
    calls: list[tuple[int, int]] = []
    path = write_tickets(
        tmp_path,
        seed=3,
        missions=[SHIELD, GROUND],
        count=6,
        size_wh=SMALL,
        mix=mix,
        progress=lambda *a: calls.append(a),
    )
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert calls[-1] == (6, 6)
    assert [record["mission"] for record in records] == [SHIELD, GROUND] * 3
    for record in records:
        folder = {"通过": "审核通过", "不通过": "审核不通过"}[record["label"]]
        assert len(record["photos"]) == len(record["summaries"])
        for n, photo in enumerate(record["photos"], start=1):
            assert photo == f"{record['mission']}/{folder}/{record['group_id']}/{n}.jpg"
            assert (tmp_path / photo).is_file()
