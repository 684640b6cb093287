"""Proposals: laid before a person once, decided once, and only on the guidance that they were measured against."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from service.cli.stage_b_propose import propose_run
from service.guidance.gate import GateRule, gate
from service.guidance.guidance import Add, apply_operations
from service.guidance.proposal import GuidanceProposal, ProposalState, Reflected
from service.guidance.proposal_store import ProposalStore
from service.guidance.store import GuidanceStore
from service.platform.errors import GuidanceConflict, ProposalDecided, UnknownProposal
from service.platform.files import write_json
from tests.support.guidance_proposals import FIRST, MISSION, effect, proposal
from vqc.errors import InvalidValue
from vqc.verdict import Verdict

NO = gate([], GateRule(), seed=1).reasons[0]


@pytest.fixture
def store(tmp_path) -> ProposalStore:
    return ProposalStore(tmp_path)


def test_pending_come_first_and_the_same_again_is_the_same(store):
    older, newer = proposal("甲"), proposal("乙", at="2026-11-24T09:00:00+00:00")
    for one in (older, newer, older):
        store.put(MISSION, one)
    assert store.proposals(MISSION) == (newer, older)
    store.reject(MISSION, newer.id, by="Wang")
    assert [one.id for one in store.proposals(MISSION)] == [older.id, newer.id]


def test_what_is_approved_is_in_force_and_the_history_tells_of_it(store, tmp_path):
    one = proposal()
    store.put(MISSION, one)
    decided = store.approve(MISSION, one.id, by="Wang", note="看过")
    guidance = GuidanceStore(tmp_path)
    assert guidance.active_version(MISSION) == one.guidance
    assert (decided.state, decided.decision and decided.decision.by) == (ProposalState.APPROVED, "Wang")
    assert store.proposals(MISSION) == (decided,)
    last = guidance.history(MISSION)[-1]
    assert (last.action, last.by, last.note, last.run) == ("approved", "Wang", "看过", "demo")


def test_a_decision_is_made_once(store, tmp_path):
    one = proposal()
    store.put(MISSION, one)
    store.reject(MISSION, one.id, by="Wang", note="太窄")
    for again in (store.approve, store.reject):
        with pytest.raises(ProposalDecided, match="rejected by Wang"):
            again(MISSION, one.id, by="Li")
    with pytest.raises(ProposalDecided):
        store.put(MISSION, one)
    assert GuidanceStore(tmp_path).active_version(MISSION) == FIRST


def test_of_many_at_once_one_decides(store):
    one = proposal()
    store.put(MISSION, one)

    def attempt(n: int) -> bool:
        try:
            (store.approve if n % 2 else store.reject)(MISSION, one.id, by=str(n))
        except ProposalDecided:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_a_proposal_measured_on_other_guidance_cannot_be_approved_only_rejected(store, tmp_path):
    first, second = proposal("甲"), proposal("乙")
    for one in (first, second):
        store.put(MISSION, one)
    store.approve(MISSION, first.id, by="Wang")
    with pytest.raises(GuidanceConflict):
        store.approve(MISSION, second.id, by="Wang")
    assert store.reject(MISSION, second.id, by="Wang").state is ProposalState.REJECTED


def test_an_approval_that_was_cut_off_is_finished_by_the_next(store, tmp_path):
    one = proposal()
    store.put(MISSION, one)
    GuidanceStore(tmp_path).approve(MISSION, one.guidance, expected=FIRST.digest, by="Wang")
    assert store.approve(MISSION, one.id, by="Wang").state is ProposalState.APPROVED


@pytest.mark.parametrize("name", ["0" * 16, "../guidance", ""])
def test_an_unknown_id(store, name):
    with pytest.raises(UnknownProposal):
        store.approve(MISSION, name, by="Wang")


def test_an_edited_file_is_refused_with_its_name(store, tmp_path):
    one = proposal()
    store.put(MISSION, one)
    path = tmp_path / MISSION.name / "proposals" / f"{one.id}.json"
    path.write_text(path.read_text("utf-8").replace("缺少螺丝", "缺少光纤"), "utf-8")
    with pytest.raises(InvalidValue, match="the file was edited"):
        store.proposals(MISSION)


def test_effects_of_several_reflections_are_reported_as_one():
    measured = (effect(0.4, 0.2), effect(0.2, 0.1, share=0.85))
    parts = [Reflected(reflection_id="1" * 12, operations=(), effect=one, applied=True) for one in measured]
    refused = Reflected(reflection_id="0" * 12, operations=(), effect=effect(0.1, 0.9), applied=False, reasons=(NO,))
    one = proposal()
    whole = GuidanceProposal(
        guidance=one.guidance, base=FIRST, run="demo", by="Li", at="", reflections=(*parts, refused)
    ).effect
    assert whole is not None
    assert (whole.error_before, whole.error_after, round(whole.rer, 9), whole.bootstrap_share) == (0.4, 0.1, 0.75, 0.85)


def finished_run(folder, *, learns: bool):
    """The folder of a run that changed the rules twice, or not at all."""
    guidance = GuidanceStore(folder)
    guidance.approve(MISSION, FIRST, expected=FIRST.digest, by="run")
    lines, current = [], FIRST
    for n in range(2 if learns else 0):
        after = apply_operations(current, [Add(text=f"规则{n}", evidence=(f"QC-{n}",))])
        guidance.approve(MISSION, after, expected=current.digest, by="run")
        lines.append(reflection(n, applied_=True))
        current = after
    lines.append(reflection(7, applied_=False))
    mine = folder / MISSION.name
    (mine / "reflections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    result = {"label": "不通过", "verdict": "通过", "reason": "挡风板安装方向正确"}
    selections = [{"group_id": f"QC-{n}", "epoch": 1, "result": result} for n in range(9)]
    (mine / "selections.jsonl").write_text("".join(json.dumps(line) + "\n" for line in selections), "utf-8")
    write_json(mine / "metrics.json", {})
    identity = {
        "guidance": {MISSION.name: FIRST.digest},
        "model": "m",
        "sampler": "s",
        "config": {"missions_path": None},
    }
    write_json(folder / "run.json", identity)
    (folder / "report.html").write_text("")
    return folder


def reflection(n: int, *, applied_: bool) -> dict:
    return {
        "reflection": {
            "reflection_id": f"{n:012x}",
            "operations": [{"op": "add", "ids": [], "text": f"规则{n}", "evidence": [f"QC-{n}"]}],
            "gate": {
                "tickets": 40,
                "error_before": 0.2,
                "error_after": 0.1,
                "rer": 0.5,
                "false_release_before": 0.3,
                "false_release_after": 0.2,
                "bootstrap_share": 0.9,
            },
            "applied": applied_,
            "reasons": [] if applied_ else [asdict(NO)],
        }
    }


def test_a_run_that_learned_is_proposed_with_its_evidence_and_nothing_comes_into_force(store, tmp_path, capsys):
    run = finished_run(tmp_path / "run", learns=True)
    propose_run(run, tmp_path, by="Li")
    (found,) = store.proposals(MISSION)
    assert found.id in capsys.readouterr().out
    assert [(one.applied, one.reasons) for one in found.reflections] == [(True, ()), (True, ()), (False, (NO,))]
    assert [(t.group_id, t.label, t.verdict) for t in found.tickets] == [
        ("QC-0", Verdict.FAIL, Verdict.PASS),
        ("QC-1", Verdict.FAIL, Verdict.PASS),
    ]
    guidance = GuidanceStore(tmp_path)
    assert guidance.active_version(MISSION) == FIRST
    assert [one.step for one in guidance.versions(MISSION)] == [0, 1, 2]
    propose_run(run, tmp_path, by="Li")
    assert len(store.proposals(MISSION)) == 1
    assert [(event.action, event.run) for event in guidance.history(MISSION)] == [("proposed", "run")] * 2


def test_a_run_that_learned_nothing_says_so(store, tmp_path, capsys):
    propose_run(finished_run(tmp_path / "run", learns=False), tmp_path, by="Li")
    assert "nothing to propose; 1 reflections, none passed the gate" in capsys.readouterr().out
    assert store.proposals(MISSION) == ()
