"""Proposals of guidance as a run makes them."""

from service.guidance.guidance import Add, apply_operations, first_version
from service.guidance.proposal import Effect, GuidanceProposal, Reflected, RuleOperation
from vqc.missions import mission_named

MISSION = mission_named("挡风板安装检查")
FIRST = first_version(MISSION)


def effect(before: float, after: float, share: float = 0.9) -> Effect:
    return Effect(
        tickets=40,
        error_before=before,
        error_after=after,
        rer=(before - after) / before,
        false_release_before=0.3,
        false_release_after=0.2,
        bootstrap_share=share,
    )


def proposal(text: str = "缺少螺丝则不通过", at: str = "2026-11-24T08:00:00+00:00") -> GuidanceProposal:
    return GuidanceProposal(
        guidance=apply_operations(FIRST, [Add(text=text, evidence=("QC-1",))]),
        base=FIRST,
        run="demo",
        by="Li",
        at=at,
        reflections=(
            Reflected(
                reflection_id="952700e3529e",
                operations=(RuleOperation(op="add", text=text, evidence=("QC-1",)),),
                effect=effect(0.2, 0.1),
                applied=True,
            ),
        ),
    )
