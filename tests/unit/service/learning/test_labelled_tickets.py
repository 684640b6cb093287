import json

import pytest

from service.learning.labelled_tickets import ingest
from service.learning.order import part_of
from vqc.missions import missions
from vqc.verdict import Verdict

SHIELD = "挡风板安装检查"


def read(*entries, mission=None):
    lines = [
        (f"a.jsonl:{n}", one if isinstance(one, str) else json.dumps(one)) for n, one in enumerate(entries, start=1)
    ]
    return ingest(lines, missions(), mission)


def test_a_ticket_a_line():
    found = read(
        {"mission": SHIELD, "group_id": "QC-1", "label": "pass", "per_image": {"图片_10": "十", "图片_2": "二"}}
    )
    (ticket,) = found.tickets
    assert (ticket.summaries, ticket.label, ticket.place) == (("二", "十"), Verdict.PASS, "a.jsonl:1")
    assert not found.rejected


def test_a_drawn_ticket_as_write_tickets_writes_it():
    line = {
        "mission": SHIELD,
        "group_id": "QC-1",
        "label": "不通过",
        "true_label": "通过",
        "photos": ["1.jpg"],
        "noise": True,
    }
    (ticket,) = read({**line, "summaries": ["无关图片"]}).tickets
    assert (ticket.photos, ticket.label, ticket.true_label) == (("1.jpg",), Verdict.FAIL, Verdict.PASS)


def test_photos_are_grouped_by_their_folders():
    found = read(
        {"image_id": f"{SHIELD}/审核通过/QC-1/1", "summary": "一"},
        {"image_id": f"{SHIELD}/审核不通过/QC-2/1", "summary": "二"},
        {"image_id": f"{SHIELD}/审核通过/QC-1/2", "summary": "三"},
    )
    assert [(one.group_id, one.summaries, str(one.label)) for one in found.tickets] == [
        ("QC-1", ("一", "三"), "通过"),
        ("QC-2", ("二",), "不通过"),
    ]
    assert found.tickets[0].photos == (f"{SHIELD}/审核通过/QC-1/1", f"{SHIELD}/审核通过/QC-1/2")


def test_a_photo_name_may_carry_the_ticket_and_the_configuration_the_mission():
    (ticket,) = read({"image_id": "any/QC-SH-20251103-17_3", "summary": "一"}, mission=SHIELD).tickets
    assert (ticket.group_id, ticket.label, ticket.mission.name) == ("QC-SH-20251103-17", None, SHIELD)


GOOD = {"mission": SHIELD, "group_id": "QC-1", "label": "pass", "per_image": {"image_1": "一"}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "Invalid JSON"),
        ("[]", "an object"),
        (GOOD | {"mission": "挡风"}, "known: "),
        (GOOD | {"mission": None}, "mission: missing"),
        (GOOD | {"label": "maybe"}, "label: 'maybe' is not a label"),
        (GOOD | {"per_image": {"image_1": 3}}, "per_image.image_1"),
        (GOOD | {"per_image": {}}, "at least one photo"),
        (GOOD | {"per_image": {"a_1": "一", "b_1": "二"}}, "two photos have the number 1"),
        (GOOD | {"per_image": None}, "per_image"),
        (GOOD | {"photos": ["a", "b"]}, "2 names for 1 lines"),
        (GOOD | {"per_image": {"image_1": "一", "image_2": "二"}, "photos": ["a", "a"]}, "photos: 'a' stands twice"),
        ('{"group_id": "QC-9", "per_image": {"image_1": "一", "image_1": "二"}}', "image_1: stands twice"),
        (GOOD | {"group_id": ""}, "group_id"),
        ({"image_id": "1", "summary": "一"}, "names no ticket"),
        ({"image_id": "QC-1/1"}, "summary"),
    ],
)
def test_a_bad_line_is_rejected_with_its_place(line, words):
    found = read(GOOD | {"group_id": "QC-0"}, line, mission=None if line != {"image_id": "QC-1/1"} else SHIELD)
    assert [one.group_id for one in found.tickets] == ["QC-0"]
    assert found.rejected[0].place == "a.jsonl:2"
    assert words in found.rejected[0].reason


def test_a_repeated_ticket_a_repeated_photo_and_a_missing_label_are_rejected():
    photo = {"image_id": "审核通过/QC-2/1", "summary": "一"}
    found = read(
        GOOD, GOOD, photo, photo, {**photo, "image_id": "QC-2/9"}, {**photo, "image_id": "QC-1/9"}, mission=SHIELD
    )
    assert [one.group_id for one in found.tickets] == ["QC-1", "QC-2"]
    assert [one.place for one in found.rejected] == ["a.jsonl:2", "a.jsonl:4", "a.jsonl:5", "a.jsonl:6"]
    for rejected, words in zip(
        found.rejected,
        (
            "is already at a.jsonl:1",
            "image_id: '审核通过/QC-2/1' is already a photo of the ticket at a.jsonl:3",
            "label: no label contradicts 通过 at a.jsonl:3",
            "label: no label contradicts 通过 at a.jsonl:1",
        ),
        strict=True,
    ):
        assert words in rejected.reason


def test_a_ticket_that_failed_and_was_submitted_again_to_pass_is_two():
    whole = read(GOOD | {"label": "fail"}, GOOD | {"label": "pass"})
    photos = [
        {"image_id": f"{label}/QC-2/{n}", "summary": "一"} for label in ("审核不通过", "审核通过") for n in (1, 2)
    ]
    for found in (whole, read(*photos, mission=SHIELD)):
        assert not found.rejected
        assert [one.label for one in found.tickets] == [Verdict.FAIL, Verdict.PASS]
        assert len({one.group_id for one in found.tickets}) == 1
        assert len({one.key for one in found.tickets}) == 2
        assert len({part_of(one, 17, holdout=0.3, calibrate=0.3) for one in found.tickets}) == 1
