"""What each mission asks of a ticket, as rules over what its photos show: the truth behind the sample tickets.

A ticket fails by the first thing that breaks a rule, photo by photo; else by the first key item that no photo shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scenes.odds import Hidden, Theme
from scenes.vocabulary import (
    BAD,
    BBU,
    BRACKET,
    BRACKET_TILTED,
    FIBRE,
    LABEL,
    MESSY,
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
class Rules:
    """One mission. ``needed``: key item → what its descriptions hold; ``broken``: a reason's words → what breaks it.

    ``themes`` are the photos that together show every key item, ``flaws`` the odds that can break a rule.
    """

    themes: tuple[Theme, ...]
    needed: dict[str, str]
    broken: dict[str, Callable[[str], bool]]
    flaws: tuple[str, ...]
    met: str
    hidden: Hidden | None = None


def _bad(kind: Fixing) -> Callable[[str], bool]:
    return lambda desc: kind in desc and BAD in desc


def _unprotected(desc: str) -> bool:
    return desc.startswith(FIBRE) and "无保护措施" in desc


def _tight(desc: str) -> bool:
    return desc.startswith(FIBRE) and "弯曲半径不合理" in desc


RULES: dict[str, Rules] = {
    "BBU安装方式检查（正装）": Rules(
        themes=(Theme.RACK,),
        needed={"BBU设备": f"{BBU}/", "BBU安装螺丝": Fixing.BBU_SCREW},
        broken={"BBU安装螺丝不符合要求": _bad(Fixing.BBU_SCREW)},
        flaws=("bbu_screw",),
        met="有BBU设备，BBU安装螺丝均符合要求",
        hidden=Hidden.UPSIDE_DOWN,
    ),
    "BBU接地线检查": Rules(
        themes=(Theme.GROUND_CABINET, Theme.GROUND_BAR),
        needed={
            "机柜处接地螺丝": Fixing.CABINET_GROUND,
            "地排处接地螺丝": Fixing.BAR_GROUND,
            "电线": f"{WIRE}/",
        },
        broken={
            "机柜处接地螺丝不符合要求": _bad(Fixing.CABINET_GROUND),
            "地排处接地螺丝不符合要求": _bad(Fixing.BAR_GROUND),
            "电线分布散乱": lambda desc: MESSY in desc,
        },
        flaws=("ground_screw", "messy"),
        met="机柜处与地排处接地螺丝均符合要求，电线捆扎整齐",
        hidden=Hidden.CUT_WIRE,
    ),
    "BBU线缆布放要求": Rules(
        themes=(Theme.PORTS, Theme.ODF),
        needed={"BBU端光纤插头": Fixing.BBU_PLUG, "ODF端光纤插头": Fixing.ODF_PLUG, "光纤": f"{FIBRE}/"},
        broken={
            "BBU端光纤插头不符合要求": _bad(Fixing.BBU_PLUG),
            "ODF端光纤插头不符合要求": _bad(Fixing.ODF_PLUG),
            "光纤无保护措施": _unprotected,
            "光纤弯曲半径不合理": _tight,
        },
        flaws=("plug", "unprotected", "tight_bend"),
        met="BBU端与ODF端光纤插头均符合要求，光纤有保护措施且弯曲半径合理",
        hidden=Hidden.TORN_FIBRE,
    ),
    "挡风板安装检查": Rules(
        themes=(Theme.RACK,),
        needed={"BBU设备": f"{BBU}/"},
        broken={
            "BBU设备未按要求配备挡风板": lambda desc: Need.MISSING in desc,
            "挡风板安装方向错误": lambda desc: desc.startswith(SHIELD) and SHIELD_WRONG in desc,
        },
        flaws=("shield_missing", "shield_wrong"),
        met="BBU设备已按要求配备挡风板，无安装方向错误",
        hidden=Hidden.BROKEN_SHIELD,
    ),
    "RRU安装检查": Rules(
        themes=(Theme.RRU,),
        needed={"RRU设备": f"{RRU}/", "RRU安装螺丝": Fixing.RRU_SCREW, "RRU支架": f"{BRACKET}/"},
        broken={
            "RRU安装螺丝不符合要求": _bad(Fixing.RRU_SCREW),
            "RRU支架安装倾斜": lambda desc: desc.startswith(BRACKET) and BRACKET_TILTED in desc,
        },
        flaws=("rru_screw", "bracket"),
        met="有RRU设备，RRU安装螺丝与支架均符合要求",
    ),
    "RRU线缆": Rules(
        themes=(Theme.RRU,),
        needed={"RRU端线缆接头": Fixing.RRU_PLUG, "光纤": f"{FIBRE}/", "标签": f"{LABEL}/"},
        broken={"RRU端线缆接头不符合要求": _bad(Fixing.RRU_PLUG), "光纤无保护措施": _unprotected},
        flaws=("plug", "unprotected"),
        met="RRU端线缆接头符合要求，光纤有保护措施且有标签",
    ),
}
"""The missions that can be drawn, by name."""


def rules_of(mission: str) -> Rules:
    """The rules of a mission.

    Raises:
        InvalidValue: a mission whose tickets cannot be drawn.
    """
    if mission not in RULES:
        raise InvalidValue("mission", mission, f"tickets are drawn for: {', '.join(RULES)}")
    return RULES[mission]


def judge(mission: str, photos: Sequence[Photo], hidden: tuple[int, Hidden] | None = None) -> VerdictAnswer:
    """The true verdict and its reason, which names the photo (from 1) or the key item that decides.

    ``hidden`` is a flaw that only the photo of that index shows.

    >>> judge("挡风板安装检查", [["挡风板/华为,显示完整,安装方向错误"]]).reason
    '图1中挡风板安装方向错误'
    """
    rules = rules_of(mission)
    for n, descs in enumerate(photos, start=1):
        for words, breaks in rules.broken.items():
            if any(map(breaks, descs)):
                return VerdictAnswer(verdict=Verdict.FAIL, reason=f"图{n}中{words}")
    for item, mark in rules.needed.items():
        if not any(mark in desc for descs in photos for desc in descs):
            return VerdictAnswer(verdict=Verdict.FAIL, reason=f"所有图片中未见{item}")
    if hidden:
        return VerdictAnswer(verdict=Verdict.FAIL, reason=f"图{hidden[0] + 1}中{hidden[1].value}")
    return VerdictAnswer(verdict=Verdict.PASS, reason=rules.met)
