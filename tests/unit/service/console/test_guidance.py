"""Missions and guidance: what the pages say, who may change what, and what happens when two do."""

import re
from dataclasses import replace
from html import unescape
from urllib.parse import quote

import pytest

from service.guidance.gate import GateRule, gate
from service.guidance.guidance import Add, apply_operations
from service.judging.calibration import calibrate
from tests.support.guidance_proposals import MISSION, proposal
from vqc.missions import missions
from vqc.prompts import stage_a_prompt, stage_b_prompt

PATH = f"/console/guidance/{quote(MISSION.name, safe='')}"
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def waiting(context):
    """A proposal that waits for a decision."""
    one = proposal()
    context.guidance.proposals.put(MISSION, one)
    return one


async def test_every_mission_is_listed_with_its_pending_proposals(visitor, waiting):
    html = (await visitor.get("/console/guidance")).text
    assert all(name in html for name in missions())
    assert html.count("1 个待审") == 1


async def test_every_mission_says_whether_it_releases_and_why(visitor, context):
    async def states() -> tuple[int, ...]:
        html = (await visitor.get("/console/guidance", **{"Accept-Language": "en"})).text
        return tuple(
            html.count(words) for words in ("not calibrated, people", "calibrated, releases", "no score can be")
        )

    count = len(missions())
    assert await states() == (count, 0, 0)
    guidance, model = context.guidance.versions.active_version(MISSION), context.models.router.model.digest
    for threshold, expected in ((0.8, (count - 1, 1, 0)), (None, (count - 1, 0, 1))):
        found = replace(calibrate([]), threshold=threshold)
        releases = context.tickets.releases
        releases.thresholds.put(found, guidance, model=model, sampler=releases.sampler.digest)
        assert await states() == expected
    html = (await visitor.get("/console/guidance")).text
    assert "已校准，但没有可放行的得分" in html
    assert "预算 5%，阈值 –" in html
    assert "预算 5%，阈值 –" in (await visitor.get(PATH)).text
    context.guidance.versions.approve(
        MISSION,
        apply_operations(guidance, [Add(text="新规则", evidence=("QC-9",))]),
        expected=guidance.digest,
        by="王工",
    )
    assert "未校准，通过由人判定" in (await visitor.get(PATH)).text


async def test_a_proposal_shows_what_it_changes_its_tickets_and_its_effect(visitor, waiting):
    html = (await visitor.get(PATH, **{"Accept-Language": "en"})).text
    for words in ("<ins>缺少螺丝则不通过</ins>", "QC-1", "20.0 %", "10.0 %", "30.0 %", "90.0 %", "Effect on 40"):
        assert words in html


async def test_reasons_of_the_gate_are_in_the_language_of_the_page(visitor, context):
    one = proposal()
    refused = replace(one.reflections[0], applied=False, reasons=gate([], GateRule(), seed=1).reasons)
    context.guidance.proposals.put(MISSION, replace(one, reflections=(*one.reflections, refused)))
    zh, en = [(await visitor.get(PATH, **{"Accept-Language": language})).text for language in ("zh", "en")]
    for chinese, english in (
        ("留出工单只有 0 张", "0 held-out tickets; at least 20"),
        ("重抽样支持，至少应为 0.8", "at least 0.8"),
    ):
        assert (chinese in zh, english in zh) == (True, False)
        assert (chinese in en, english in en) == (False, True)


async def test_approving_activates_the_proposal_and_says_so(visitor, context, waiting):
    answer = await visitor.post(f"{PATH}/approve", proposal=waiting.id, note="看过")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?done=approved")
    assert context.guidance.versions.active_version(MISSION) == waiting.guidance
    last = context.guidance.versions.history(MISSION)[-1]
    assert last.by.startswith("王工 (")
    shown = (await visitor.get(answer.headers["location"])).text
    assert "学自运行 demo" in shown
    assert "新工单将按新的指导规则判定" in shown
    assert "已采纳" in shown


async def test_rejecting_leaves_the_active_version(visitor, context, waiting):
    before = context.guidance.versions.active_version(MISSION)
    assert (await visitor.post(f"{PATH}/reject", proposal=waiting.id, note="太窄")).status_code == 303
    assert context.guidance.versions.active_version(MISSION) == before
    assert "太窄" in (await visitor.get(PATH)).text


async def test_the_second_decision_is_rejected_and_the_page_shows_the_first(visitor, context, waiting):
    context.guidance.proposals.reject(MISSION, waiting.id, by="Zhang")
    answer = await visitor.post(f"{PATH}/approve", proposal=waiting.id)
    assert answer.status_code == 409
    assert re.search("已由 Zhang 于 .* UTC 处理：已否决", answer.text)
    assert 'role="alert"' in answer.text


async def test_a_proposal_on_other_guidance_cannot_be_approved(visitor, context, waiting):
    first = context.guidance.versions.active_version(MISSION)
    other = apply_operations(first, [Add(text="别的规则", evidence=("QC-9",))])
    context.guidance.versions.approve(MISSION, other, expected=first.digest, by="Zhang")
    shown = (await visitor.get(PATH)).text
    assert "不能采纳" in shown
    assert '/approve" disabled' in shown
    answer = await visitor.post(f"{PATH}/approve", proposal=waiting.id)
    assert answer.status_code == 409
    assert f"生效的版本已是 {other.digest[:12]}，不再是 {first.digest[:12]}" in answer.text
    assert context.guidance.versions.active_version(MISSION) == other


async def test_rolling_back_is_compare_and_set(visitor, context, waiting):
    first = context.guidance.versions.active_version(MISSION)
    context.guidance.proposals.approve(MISSION, waiting.id, by="Zhang")
    shown = (await visitor.get(PATH)).text
    assert "<del>缺少螺丝则不通过</del>" in shown  # what going back would take away
    late = await visitor.post(f"{PATH}/rollback", to=first.digest, expected=first.digest)
    assert (late.status_code, context.guidance.versions.active_version(MISSION)) == (409, waiting.guidance)
    done = await visitor.post(f"{PATH}/rollback", to=first.digest, expected=waiting.guidance.digest, note="投诉")
    assert (done.status_code, context.guidance.versions.active_version(MISSION)) == (303, first)
    assert context.guidance.versions.history(MISSION)[-1].note == "投诉"


@pytest.mark.parametrize("form", [{"to": "0" * 64, "expected": "0" * 64}, {"to": "x", "expected": "y"}])
async def test_an_unknown_version(visitor, form):
    assert (await visitor.post(f"{PATH}/rollback", **form)).status_code in (409, 422)


async def test_without_admin_guidance_is_read_only(site, context, waiting):
    before = context.guidance.versions.active_version(MISSION)
    async with site.visitor("decides") as visitor:
        shown = (await visitor.get(PATH)).text
        assert "缺少螺丝则不通过" in shown
        assert '<form method="post" class="stack">' not in shown
        for act, form in (
            ("approve", {"proposal": waiting.id}),
            ("reject", {"proposal": waiting.id}),
            ("rollback", {"to": before.digest, "expected": before.digest}),
        ):
            assert (await visitor.post(f"{PATH}/{act}", **form)).status_code == 403
    assert context.guidance.proposals.proposals(MISSION) == (waiting,)


async def test_notes_and_rules_are_escaped(visitor, context):
    one = proposal(text=f"规则{HOSTILE}")
    context.guidance.proposals.put(MISSION, one)
    context.guidance.proposals.approve(MISSION, one.id, by=HOSTILE, note=HOSTILE)
    for path in (PATH, f"{PATH}?done={quote(HOSTILE)}"):
        assert HOSTILE not in (await visitor.get(path)).text


async def test_an_unknown_mission_or_proposal(visitor):
    assert (await visitor.get("/console/guidance/nothing")).status_code == 422
    assert (await visitor.post(f"{PATH}/approve", proposal="0" * 16)).status_code == 404


async def test_a_mission_says_where_it_comes_from_and_what_the_model_is_asked(visitor, context):
    html = unescape((await visitor.get(PATH, **{"Accept-Language": "en"})).text)
    guidance = context.guidance.versions.active_version(MISSION)
    for prompt in (stage_a_prompt(MISSION), stage_b_prompt(MISSION, ("…",), guidance.prompt_rules)):
        for text in (prompt.system, prompt.before, prompt.after):
            assert text in html
    for item in MISSION.key_items:
        assert all(word in html for word in (*item.words, *item.positive, *item.negative))
    assert "trained on this mission" in html


async def test_a_mission_that_the_model_has_not_seen_is_marked(visitor, context, monkeypatch):
    router = context.models.router
    monkeypatch.setattr(router, "_model", replace(router.model, untrained=frozenset({MISSION.name})))
    assert (await visitor.get("/console/guidance")).text.count("模型未学过") == 1
    assert "校准之前，每个工单都由人判定。" in (await visitor.get(PATH)).text
