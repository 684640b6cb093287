"""The training-free loop on an engine with known errors: rules that fix them pass the gate, others do not."""

import json
import shutil
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from engine.errors import EngineRefused, EngineUnavailable
from engine.plausible import verdict_script
from engine.protocol import DecodingParams
from engine.scripted import ScriptedEngine
from service.console.words import catalogue
from service.guidance.guidance import first_version
from service.judging.judge_ticket import JudgeTicket
from service.judging.records import Part
from service.judging.rollouts import plan
from service.judging.sampler import EvidenceKind, Sampler
from service.learning.improve import Improve, ReflectionRule
from service.learning.labelled_tickets import LabelledTicket
from service.learning.loop import LoopPlan, TrainingFreeLoop
from service.learning.order import part_of
from service.learning.reflect import Reflect
from service.learning.run_folder import RunFolder
from service.learning.ticket_pass import TicketPass
from vqc.errors import InvalidValue
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
RULE = "图中有破损标记则不通过"
TWICE = '{"op": "add", "text": "甲", "evidence": ["T1"]}'
TICKETS = [
    LabelledTicket(
        mission=MISSION,
        group_id=f"QC-{n:03d}",
        summaries=(f"BBU设备/华为,显示完整,无需安装×1，备注: 第{n}号{'破损标记' if n % 3 == 0 else ''}",),
        label=Verdict.FAIL if n % 3 == 0 else Verdict.PASS,
    )
    for n in range(120)
]
DECODING = [DecodingParams(max_new_tokens=64, temperature=t, seed=s) for t, s in ((0.3, 0), (0.7, 100))]


def blind(request):
    """Overlooks the mark unless a rule names it."""
    text = "".join(part for part in request.user if isinstance(part, str))
    return 0.97 if "破损标记" in text.partition("补充规则")[0] and RULE in text else 0.03


def answering(reflection):
    """The blind inspector, whose reflection always answers the same."""
    judging = verdict_script(blind)
    return lambda request, index: judging(request, index) if request.grammar else reflection


def proposing(text):
    return json.dumps({"operations": [{"op": "add", "text": text, "evidence": ["T1", "T2"]}]}, ensure_ascii=False)


def loop(engine, run, *, epochs=1, reflects=True, evidence=EvidenceKind.SUMMARIES, patience_s=0.0, photos=None):
    sampler = Sampler(waves=plan(DECODING, 3), evidence=evidence)

    async def no_photos(record):
        raise InvalidValue("photos", record.group_id, "must be there")

    judge_all = TicketPass(
        JudgeTicket(engine),
        sampler,
        journal=run.journal,
        load_photos=photos or no_photos,
        concurrency=16,
        timeout_s=120,
        patience_s=patience_s,
    )
    reflect = Reflect(engine, DecodingParams(max_new_tokens=200), timeout_s=120)
    rule = ReflectionRule(batch_size=4, max_batches_per_epoch=2)
    improve = Improve(reflect, judge_all, rule=rule, seed=17, run=run)
    steps = LoopPlan(seed=17, epochs=epochs, holdout=0.4, calibrate=0.1, planned=sampler.sample_count)
    return TrainingFreeLoop(judge_all, improve if reflects else None, plan=steps, run=run)


@pytest.fixture
def folder(tmp_path):
    """Opens the folder of a run and resets its guidance, as the command does at every start."""

    @contextmanager
    def opened(name="run"):
        with RunFolder(tmp_path / name, {}, retention=5, clock=lambda: datetime.now(UTC)) as run:
            run.reset_guidance(MISSION, first_version(MISSION))
            yield run

    return opened


@pytest.fixture
def run(folder):
    with folder() as run:
        yield run


def records(run, name):
    path = run.path / MISSION.name / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


async def test_a_rule_that_fixes_the_errors_passes_the_gate_and_is_measured_by_a_last_pass(run):
    results, last = await loop(ScriptedEngine(answering(proposing(RULE))), run)(
        MISSION, TICKETS, first_version(MISSION)
    )
    assert last.prompt_rules == {"G0": RULE}
    assert set(last.rules[0].evidence) <= {one.group_id for one in TICKETS}
    assert [(one.epoch, one.guidance.step) for one in results] == [(1, 0), (2, 1)]
    right = [sum(one.verdict is one.label for one in result.selected) for result in results]
    assert right[0] < 90 < right[1]
    first = records(run, "reflections")[0]["reflection"]
    assert first["applied"]
    assert first["gate"]["rer"] > 0.5
    assert first["gate"]["false_release_after"] < first["gate"]["false_release_before"]
    assert run.guidance_store.active_version(MISSION) == last


async def test_reflection_reads_no_ticket_that_is_held_out_or_kept_for_calibration(run):
    await loop(ScriptedEngine(answering(proposing(RULE))), run)(MISSION, TICKETS, first_version(MISSION))
    parts = {one.group_id: part_of(one, 17, holdout=0.4, calibrate=0.1) for one in TICKETS}
    shown = [name for one in records(run, "reflections") for name in one["reflection"]["cases"]]
    assert shown
    assert {parts[name] for name in shown} == {Part.LEARN}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (proposing("今天天气好"), "small_gain"),
        (proposing("今天\n天气好"), "rule_text"),
        ("没有建议", "nothing_proposed"),
        ('{"operations": [{"op": "remove", "id": "G7", "evidence": ["T1"]}]}', "unknown_rule"),
        ('{"operations": [{"op": "merge", "ids": ["G0"], "text": "甲", "evidence": ["T1"]}]}', "merges_too_few"),
        (f'{{"operations": [{TWICE}, {TWICE}]}}', "rule_twice"),
        (f'{{"operations": [{TWICE}, {{"op": "remove", "id": "G0", "evidence": ["T1"]}}]}}', "changes_nothing"),
    ],
)
async def test_a_proposal_that_does_not_help_changes_nothing(run, answer, reason):
    results, last = await loop(ScriptedEngine(answering(answer)), run)(MISSION, TICKETS, first_version(MISSION))
    assert (last, len(results), run.guidance_store.versions(MISSION)) == (
        first_version(MISSION),
        1,
        (first_version(MISSION),),
    )
    assert {one["reflection"]["reasons"][0]["code"] for one in records(run, "reflections")} == {reason}
    assert f"messages.{reason}" in catalogue()
    assert len(records(run, "reflections")) == 2


async def test_without_reflection_the_guidance_stays(run):
    engine = ScriptedEngine(answering(proposing(RULE)))
    results, last = await loop(engine, run, reflects=False, epochs=2)(MISSION, TICKETS, first_version(MISSION))
    assert (last, records(run, "reflections"), [one.epoch for one in results]) == (first_version(MISSION), [], [1, 2])


async def test_every_ticket_has_one_selection_a_pass_in_the_same_order_as_its_trajectories(run):
    await loop(ScriptedEngine(answering("")), run, epochs=2)(MISSION, TICKETS, first_version(MISSION))
    selected = [(one["epoch"], one["group_id"]) for one in records(run, "selections")]
    assert Counter(selected) == Counter((epoch, one.group_id) for epoch in (1, 2) for one in TICKETS)
    assert list(dict.fromkeys((one["epoch"], one["group_id"]) for one in records(run, "trajectories"))) == selected
    assert selected[:120] != [(1, name) for _, name in selected[120:]]


async def test_a_second_run_over_the_journal_asks_nothing_and_writes_the_same(folder, tmp_path):
    names = ("trajectories", "selections", "reflections")
    with folder("first") as run:
        await loop(ScriptedEngine(answering(proposing(RULE))), run)(MISSION, TICKETS, first_version(MISSION))
        first = [records(run, name) for name in names]
        versions = run.guidance_store.versions(MISSION)
    (tmp_path / "again").mkdir()
    shutil.copy(tmp_path / "first" / "journal.jsonl", tmp_path / "again")  # only the journal: every record is made anew
    engine = ScriptedEngine(fail=lambda request: EngineRefused("asked again"))
    with folder("again") as again:
        await loop(engine, again)(MISSION, TICKETS, first_version(MISSION))
        assert engine.answered == 0
        assert [records(again, name) for name in names] == first
        assert again.guidance_store.versions(MISSION) == versions
        assert (len(versions), all(first)) == (2, True)


async def test_a_ticket_that_the_engine_rejects_fails_alone(run):
    def refused(request):
        bad = any(isinstance(part, str) and "第7号" in part for part in request.user)
        return EngineRefused("prompt too long") if bad and request.grammar else None

    await loop(ScriptedEngine(answering(""), fail=refused), run)(MISSION, TICKETS, first_version(MISSION))
    bad = [one for one in records(run, "selections") if one["result"]["error"]]
    assert [one["group_id"] for one in bad] == ["QC-007"]
    assert bad[0]["result"]["review_reasons"] == ["no_verdict"]
    assert bad[0]["result"]["verdict"] is None


async def test_a_ticket_whose_photos_are_missing_fails_alone(run):
    engine = ScriptedEngine(answering(""))
    await loop(engine, run, evidence=EvidenceKind.BOTH)(MISSION, TICKETS[:3], first_version(MISSION))
    assert all("must be there" in one["result"]["error"] for one in records(run, "selections"))
    assert engine.answered == 0


async def test_an_engine_that_is_away_for_a_moment_is_waited_for_and_then_ends_the_run(folder, run):
    away = iter([EngineUnavailable("restarting", retry_after_s=0.01)] * 3)
    engine = ScriptedEngine(answering(""), fail=lambda request: next(away, None))
    await loop(engine, run, patience_s=10)(MISSION, TICKETS[:2], first_version(MISSION))
    assert [one["result"]["error"] for one in records(run, "selections")] == [None, None]
    gone = ScriptedEngine(fail=lambda request: EngineUnavailable("dead", retry_after_s=1))
    with folder("gone") as other, pytest.raises(EngineUnavailable, match="dead"):
        await loop(gone, other, patience_s=0.5)(MISSION, TICKETS[:2], first_version(MISSION))
    assert gone.in_flight == 0
