"""The rules of each mission, over what a ticket's photos show: the ground truth of the sample tickets.

A ticket fails at the first violation, photo by photo; otherwise at the first key item that no photo shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scenes.defect_rates import NATURAL, DefectRates, Hidden, Theme
from scenes.vocabulary import (
    BAD,
    BBU,
    BRACKET,
    BRACKET_TILTED,
    FIBRE,
    LABEL,
    MESSY,
    MISPLACED,
    RRU,
    SHIELD,
    SHIELD_WRONG,
    WIRE,
    Fixing,
    Need,
)
from vqc.errors import InvalidValue
from vqc.verdict import Verdict, VerdictAnswer

Photo = Sequence[str]
"""The descriptions of one photo's objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionRules:
    """The rules of one mission.

    ``required`` maps each key item to a substring of its descriptions, ``violations`` a reason to its test. The photos of
    ``themes`` together show every key item; ``flaws`` are the defect rates that can cause a violation.
    """

    themes: tuple[Theme, ...]
    required: dict[str, str]
    violations: dict[str, Callable[[str], bool]]
    flaws: tuple[str, ...]
    pass_reason: str
    hidden: Hidden | None = None

    @property
    def clean_rates(self) -> DefectRates:
        """The natural rates without the mission's flaws."""
        return replace(NATURAL, **dict.fromkeys(self.flaws, 0.0))


def _is_bad(kind: Fixing) -> Callable[[str], bool]:
    return lambda desc: kind in desc and BAD in desc


def _is_unprotected(desc: str) -> bool:
    return desc.startswith(FIBRE) and "无保护措施" in desc


def _is_tightly_bent(desc: str) -> bool:
    return desc.startswith(FIBRE) and "弯曲半径不合理" in desc


RULES: dict[str, MissionRules] = {
    "BBU安装方式检查（正装）": MissionRules(
        themes=(Theme.RACK,),
        required={"BBU设备": f"{BBU}/", "BBU安装螺丝": Fixing.BBU_SCREW},
        violations={"BBU安装螺丝不符合要求": _is_bad(Fixing.BBU_SCREW)},
        flaws=("bbu_screw",),
        pass_reason="有BBU设备，BBU安装螺丝均符合要求",
        hidden=Hidden.UPSIDE_DOWN,
    ),
    "BBU接地线检查": MissionRules(
        themes=(Theme.GROUND_CABINET, Theme.GROUND_BAR),
        required={
            "机柜处接地螺丝": Fixing.CABINET_GROUND,
            "地排处接地螺丝": Fixing.BAR_GROUND,
            "电线": f"{WIRE}/",
        },
        violations={
            "机柜处接地螺丝不符合要求": _is_bad(Fixing.CABINET_GROUND),
            "地排处接地螺丝不符合要求": _is_bad(Fixing.BAR_GROUND),
            "电线分布散乱": lambda desc: MESSY in desc,
        },
        flaws=("ground_screw", "messy"),
        pass_reason="机柜处与地排处接地螺丝均符合要求，电线捆扎整齐",
        hidden=Hidden.CUT_WIRE,
    ),
    "BBU线缆布放要求": MissionRules(
        themes=(Theme.PORTS, Theme.ODF),
        required={"BBU端光纤插头": Fixing.BBU_PLUG, "ODF端光纤插头": Fixing.ODF_PLUG, "光纤": f"{FIBRE}/"},
        violations={
            "BBU端光纤插头不符合要求": _is_bad(Fixing.BBU_PLUG),
            "ODF端光纤插头不符合要求": _is_bad(Fixing.ODF_PLUG),
            "光纤无保护措施": _is_unprotected,
            "光纤弯曲半径不合理": _is_tightly_bent,
        },
        flaws=("plug", "unprotected", "tight_bend"),
        pass_reason="BBU端与ODF端光纤插头均符合要求，光纤有保护措施且弯曲半径合理",
        hidden=Hidden.TORN_FIBRE,
    ),
    "挡风板安装检查": MissionRules(
        themes=(Theme.RACK,),
        required={"BBU设备": f"{BBU}/"},
        violations={
            "BBU设备未按要求配备挡风板": lambda desc: Need.MISSING in desc,
            "挡风板安装方向错误": lambda desc: desc.startswith(SHIELD) and SHIELD_WRONG in desc,
        },
        flaws=("shield_missing", "shield_wrong"),
        pass_reason="BBU设备已按要求配备挡风板，无安装方向错误",
        hidden=Hidden.BROKEN_SHIELD,
    ),
    "RRU安装检查": MissionRules(
        themes=(Theme.RRU,),
        required={"RRU设备": f"{RRU}/", "RRU安装螺丝": Fixing.RRU_SCREW, "RRU支架": f"{BRACKET}/"},
        violations={
            "RRU安装螺丝不符合要求": _is_bad(Fixing.RRU_SCREW),
            "RRU支架安装倾斜": lambda desc: desc.startswith(BRACKET) and BRACKET_TILTED in desc,
        },
        flaws=("rru_screw", "bracket"),
        pass_reason="有RRU设备，RRU安装螺丝与支架均符合要求",
        hidden=Hidden.CRACKED_RRU,
    ),
    "RRU线缆": MissionRules(
        themes=(Theme.RRU,),
        required={"RRU端线缆接头": Fixing.RRU_PLUG, "光纤": f"{FIBRE}/", "标签": f"{LABEL}/"},
        violations={"RRU端线缆接头不符合要求": _is_bad(Fixing.RRU_PLUG), "光纤无保护措施": _is_unprotected},
        flaws=("plug", "unprotected"),
        pass_reason="RRU端线缆接头符合要求，光纤有保护措施且有标签",
        hidden=Hidden.TORN_FIBRE,
    ),
    "RRU位置检查": MissionRules(
        themes=(Theme.RRU_SITE,),
        required={"RRU设备": "安装位置"},  # a close-up shows the unit, not its place
        violations={"RRU设备安装位置不符合要求": lambda desc: MISPLACED in desc},
        flaws=("misplaced",),
        pass_reason="RRU设备安装位置符合要求",
        hidden=Hidden.CRACKED_RRU,
    ),
}
"""The missions whose tickets can be drawn, by name."""


def mission_rules(mission: str) -> MissionRules:
    """The rules of a mission.

    Raises:
        InvalidValue: tickets of this mission cannot be drawn.
    """
    if mission not in RULES:
        raise InvalidValue("mission", mission, f"tickets can be drawn for: {', '.join(RULES)}")
    return RULES[mission]


def true_verdict(mission: str, photos: Sequence[Photo], hidden: tuple[int, Hidden] | None = None) -> VerdictAnswer:
    """The true verdict and its reason, which names the deciding photo (from 1) or key item.

    ``hidden`` is a defect that only the photo at that index shows.

    >>> true_verdict("挡风板安装检查", [["挡风板/华为,显示完整,安装方向错误"]]).reason
    '图1中挡风板安装方向错误'
    """
    rules = mission_rules(mission)
    for n, descs in enumerate(photos, start=1):
        for words, breaks in rules.violations.items():
            if any(map(breaks, descs)):
                return VerdictAnswer(verdict=Verdict.FAIL, reason=f"图{n}中{words}")
    for item, mark in rules.required.items():
        if not any(mark in desc for descs in photos for desc in descs):
            return VerdictAnswer(verdict=Verdict.FAIL, reason=f"所有图片中未见{item}")
    if hidden:
        return VerdictAnswer(verdict=Verdict.FAIL, reason=f"图{hidden[0] + 1}中{hidden[1].value}")
    return VerdictAnswer(verdict=Verdict.PASS, reason=rules.pass_reason)
