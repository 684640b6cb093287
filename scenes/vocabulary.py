"""The words of the drawn world: the taxonomy's types and attributes, and the descriptions built from them.

Everything in a description is visible in the picture (``scenes.parts``). ``descs`` lists all descriptions.
"""

from __future__ import annotations

from enum import StrEnum
from itertools import product
from typing import Literal

Domain = Literal["base", "shifted"]
"""``shifted`` adds a brand, an item type and another wall, none of which ``base`` shows."""


class Brand(StrEnum):
    """Manufacturers of units."""

    HUAWEI = "华为"
    ZTE = "中兴"
    ERICSSON = "爱立信"
    NOKIA = "诺基亚"


BASE_BRANDS = (Brand.HUAWEI, Brand.ZTE, Brand.ERICSSON)
SHIFTED_BRANDS = (*BASE_BRANDS, Brand.NOKIA)


class Need(StrEnum):
    """Whether a BBU needs a wind shield, and whether it has one."""

    NONE = "无需安装"
    MET = "机柜空间充足需要安装/这个BBU设备按要求配备了挡风板"
    MISSING = "机柜空间充足需要安装/这个BBU设备未按要求配备挡风板"


class Fixing(StrEnum):
    """Screws and plugs, by location."""

    BBU_SCREW = "BBU安装螺丝"
    CABINET_GROUND = "机柜处接地螺丝"
    BAR_GROUND = "地排处接地螺丝"
    ODF_PLUG = "ODF端光纤插头"
    BBU_PLUG = "BBU端光纤插头"
    RRU_SCREW = "RRU安装螺丝"
    RRU_PLUG = "RRU端线缆接头"


class Fault(StrEnum):
    """Why a fixing does not comply."""

    LOOSE = "未拧紧"
    COPPER = "露铜"
    RUST = "生锈"
    DOUBLE = "复接"


FAULTS: dict[Fixing, tuple[Fault, ...]] = {
    Fixing.BBU_SCREW: (Fault.LOOSE, Fault.RUST),
    Fixing.CABINET_GROUND: (Fault.LOOSE, Fault.COPPER, Fault.RUST, Fault.DOUBLE),
    Fixing.BAR_GROUND: (Fault.LOOSE, Fault.COPPER, Fault.RUST, Fault.DOUBLE),
    Fixing.ODF_PLUG: (Fault.LOOSE,),
    Fixing.BBU_PLUG: (Fault.LOOSE,),
    Fixing.RRU_SCREW: (Fault.LOOSE, Fault.RUST),
    Fixing.RRU_PLUG: (Fault.LOOSE,),
}
"""The faults that each fixing can have."""


class Sheath(StrEnum):
    """The protection of a fibre."""

    NONE = ""
    CORRUGATED = "蛇形管"
    ARMOURED = "铠装"


WORDS = ("至ODF", "至BBU", "主用", "备用", "接地", "电源", "光纤A", "光纤B", "RRU1", "RRU2", "RRU3", "5G")
"""The texts of legible labels."""

UNREADABLE = "无法识别"
WHOLE, PART = "显示完整", "只显示部分"
GOOD, BAD = "符合要求", "不符合要求"
SHIELD_RIGHT, SHIELD_WRONG = "安装方向正确", "安装方向错误"
TIDY, MESSY = "捆扎整齐", "分布散乱"
BEND_OK, BEND_TIGHT = "弯曲半径合理", "弯曲半径不合理（弯曲半径<4cm或者成环）"
BBU, SHIELD, FIXING, LABEL, FIBRE, WIRE = "BBU设备", "挡风板", "螺丝、光纤插头", "标签", "光纤", "电线"
RRU, BRACKET, ALARM = "RRU设备", "RRU支架", "告警箱"
BRACKET_FIRM, BRACKET_TILTED = "安装端正", "安装倾斜"
PLACED, MISPLACED = "安装位置符合要求", "安装位置不符合要求"


def bbu(brand: Brand, whole: bool, need: Need) -> str:
    """The description of a BBU.

    >>> bbu(Brand.HUAWEI, True, Need.NONE)
    'BBU设备/华为,显示完整,无需安装'
    """
    return f"{BBU}/{brand},{WHOLE if whole else PART},{need}"


def shield(brand: Brand, whole: bool, right: bool) -> str:
    """The description of a wind shield."""
    return f"{SHIELD}/{brand},{WHOLE if whole else PART},{SHIELD_RIGHT if right else SHIELD_WRONG}"


def fixing(kind: Fixing, fault: Fault | None) -> str:
    """The description of a screw or plug; always completely visible.

    >>> fixing(Fixing.BBU_SCREW, Fault.RUST)
    '螺丝、光纤插头/BBU安装螺丝,显示完整,不符合要求/生锈'
    """
    return f"{FIXING}/{kind},{WHOLE},{GOOD}" if fault is None else f"{FIXING}/{kind},{WHOLE},{BAD}/{fault}"


def label(word: str) -> str:
    """The description of a label with its text."""
    return f"{LABEL}/{word}"


def fibre(sheath: Sheath, tight: bool) -> str:
    """The description of a fibre.

    >>> fibre(Sheath.ARMOURED, False)
    '光纤/有保护措施,弯曲半径合理/铠装'
    """
    bend = BEND_TIGHT if tight else BEND_OK
    return f"{FIBRE}/有保护措施,{bend}/{sheath}" if sheath else f"{FIBRE}/无保护措施,{bend}"


def wire(tidy: bool) -> str:
    """The description of an electric wire."""
    return f"{WIRE}/{TIDY if tidy else MESSY}"


def rru(brand: Brand, whole: bool, placed: bool | None = None) -> str:
    """The description of a remote radio unit; ``placed`` is None where the photo does not show its place on the site.

    >>> rru(Brand.ZTE, True, placed=False)
    'RRU设备/中兴,显示完整,安装位置不符合要求'
    """
    place = "" if placed is None else f",{PLACED if placed else MISPLACED}"
    return f"{RRU}/{brand},{WHOLE if whole else PART}{place}"


def bracket(firm: bool) -> str:
    """The description of the bracket that holds a remote radio unit."""
    return f"{BRACKET}/{BRACKET_FIRM if firm else BRACKET_TILTED}"


def alarm_box() -> str:
    """The description of the item that only the shifted domain shows."""
    return f"{ALARM}/{WHOLE}"


def needs_of(brand: Brand) -> tuple[Need, ...]:
    """The shield needs that a brand's BBU can have: Ericsson gets no shield."""
    return (Need.NONE,) if brand is Brand.ERICSSON else tuple(Need)


def descs(domain: Domain = "base") -> tuple[str, ...]:
    """Every description that a scene of the domain may contain."""
    brands = SHIFTED_BRANDS if domain == "shifted" else BASE_BRANDS
    return (
        *(bbu(brand, whole, need) for brand in brands for whole in (True, False) for need in needs_of(brand)),
        *(shield(b, whole, right) for b in brands if b is not Brand.ERICSSON for whole, right in _flags(2)),
        *(fixing(kind, fault) for kind, faults in FAULTS.items() for fault in (None, *faults)),
        *(label(word) for word in (*WORDS, UNREADABLE)),
        *(fibre(sheath, tight) for sheath, tight in product(Sheath, (False, True))),
        *(wire(tidy) for tidy in (True, False)),
        *(rru(brand, whole, placed) for brand in brands for whole in (True, False) for placed in (None, True, False)),
        *(bracket(firm) for firm in (True, False)),
        *((alarm_box(),) if domain == "shifted" else ()),
    )


def _flags(count: int) -> list[tuple[bool, ...]]:
    return list(product((True, False), repeat=count))
