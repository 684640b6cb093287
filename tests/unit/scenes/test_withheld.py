"""A good ticket without its decisive photos fails, and its reason names the item."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scenes.rules import RULES, true_verdict
from scenes.withheld import Withheld, is_possible, plan_withheld, write_withheld
from vqc.verdict import Verdict


@pytest.mark.parametrize("how", Withheld)
@pytest.mark.parametrize("mission", RULES)
def test_without_its_decisive_photos_a_ticket_fails_and_names_the_item(mission: str, how: Withheld) -> None:
    if not is_possible(mission, how):
        assert how is Withheld.CROPPED
        return
    for seed in range(3):
        ticket = plan_withheld(seed, mission, how)
        descs = [[item.desc for item in photo.objects] for photo in ticket.photos]
        assert ticket.photos
        assert ticket.label is ticket.true_label is Verdict.FAIL
        assert true_verdict(mission, descs).reason == ticket.reason
        assert any(f"未见{item}" in ticket.reason for item in RULES[mission].required)


def test_the_written_tickets_say_what_was_done(tmp_path: Path) -> None:
    path = write_withheld(tmp_path, seed=1, count=1, missions=["BBU接地线检查"])
    records = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [record["withheld"] for record in records] == [how.value for how in Withheld]
    assert all((tmp_path / photo).exists() for record in records for photo in record["photos"])
