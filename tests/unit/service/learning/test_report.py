"""The report is rendered from the run's files and shows their content."""

import json
from html.parser import HTMLParser

import pytest

from service.guidance.guidance import Add, apply_operations, first_version
from service.judging.records import Part
from service.learning.metrics import SelectedTicket
from service.learning.report import render_report
from service.learning.run_metrics import EpochResult, mission_metrics
from service.platform.files import write_json
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")


class Text(HTMLParser):
    """The page's words, and that every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def ticket(n, label, verdict, contradiction=False) -> SelectedTicket:
    return SelectedTicket(
        group_id=f"QC-{n}",
        part=Part.LEARN,
        label=label,
        verdict=verdict,
        score=0.9 - n / 100,
        needs_review=verdict is None,
        review_reasons=("no_verdict",) if verdict is None else (),
        label_contradiction=contradiction,
        sampled=4,
        parsed=4,
        planned=12,
        planted=label,
    )


@pytest.fixture
def run(tmp_path):
    first = first_version(MISSION)
    last = apply_operations(first, [Add(text="<b>先看备注</b>", evidence=("QC-1",))])
    tickets = (
        ticket(1, Verdict.PASS, Verdict.PASS),
        ticket(2, Verdict.FAIL, Verdict.PASS, contradiction=True),
        ticket(3, Verdict.FAIL, None),
    )
    folder = tmp_path / "run" / MISSION.name
    epochs = [EpochResult(epoch=1, guidance=first, selected=tickets)]
    write_json(folder / "metrics.json", mission_metrics(MISSION, epochs, first, last, model="m" * 64))
    result = {
        "label": "不通过",
        "verdict": "通过",
        "vote_share": 1.0,
        "reason": "挡风板<script>",
        "label_contradiction": True,
    }
    line = {"group_id": "QC-2", "mission": MISSION.name, "epoch": 1, "result": result}
    (folder / "selections.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", "utf-8")
    return tmp_path / "run"


def test_the_page_shows_what_the_files_say(run):
    page = render_report(run)
    text = Text()
    text.feed(page)
    words = "|".join(text.words)
    assert not text.open
    for shown in (
        MISSION.name,
        "QC-2",
        "挡风板<script>",
        "<b>先看备注</b>",
        "33.3 %",
        "50.0 %",
        "no_verdict",
        "Not calibrated",
    ):
        assert shown in words
    assert "<script>" not in page
    assert "points=" in page


def test_a_threshold_is_shown(run):
    calibration = {
        "threshold": 0.8, "budget": 0.05, "delta": 0.1, "failed": 60, "released_failed": 0, "coverage": 0.7, "risk_bound": 0.04
    }  # fmt: skip
    one = {"mission": MISSION.name, "model": "m", "guidance": "g" * 64, "sampler": "s", "calibration": calibration}
    write_json(run / MISSION.name / "thresholds" / "a.json", one)
    assert "from a score of <b>0.800</b>" in render_report(run)
    write_json(run / MISSION.name / "thresholds" / "a.json", one | {"calibration": calibration | {"threshold": None}})
    assert "no threshold is certified" in render_report(run)
