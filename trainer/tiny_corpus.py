"""The text from which the tiny checkpoint's tokenizer learns its vocabulary: the words of the domain.

It holds the taxonomy's terms and sentences made of them. Nothing here is a label or a rule: a missing word only costs
more tokens.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator

from vqc.answer_words import CHINESE
from vqc.caption import CaptionObject, DenseCaption
from vqc.codec import render
from vqc.geometry import Kind, Shape
from vqc.missions import active, missions
from vqc.prompts import stage_b_prompt
from vqc.summary import render as render_summary
from vqc.summary import summarise
from vqc.verdict import Verdict

BRANDS = ("华为", "中兴", "爱立信", "诺基亚", "大唐", "烽火")
COMPLETENESS = ("显示完整", "只显示部分")
LEVELS: dict[str, tuple[tuple[str, ...], ...]] = {
    "BBU设备": (
        BRANDS,
        COMPLETENESS,
        ("无需安装", "机柜空间充足需要安装"),
        ("这个BBU设备按要求配备了挡风板", "这个BBU设备未按要求配备挡风板"),
    ),
    "挡风板": (BRANDS, COMPLETENESS, ("安装方向正确", "安装方向错误")),
    "螺丝、光纤插头": (
        ("BBU安装螺丝", "机柜处接地螺丝", "地排处接地螺丝", "ODF端光纤插头", "BBU端光纤插头"),
        COMPLETENESS,
        ("符合要求", "不符合要求"),
        ("未拧紧", "露铜", "复接", "生锈", "未拧紧,露铜", "露铜,生锈"),
    ),
    "光纤": (
        ("无保护措施", "有保护措施"),
        ("弯曲半径合理", "弯曲半径不合理（弯曲半径<4cm或者成环）"),
        ("蛇形管", "铠装", "同时有蛇形管和铠装"),
    ),
    "电线": (("捆扎整齐", "分布散乱"),),
    "标签": (("无法识别", "5G-BBU", "4G-RRU", "ODF-A", "接地", "电源", "光缆", "传输", "机房", "站点"),),
    "RRU设备": (BRANDS, COMPLETENESS, ("安装位置符合要求", "安装位置不符合要求")),
    "紧固件": (("RRU安装螺丝", "RRU支架", "地排螺丝"), COMPLETENESS, ("符合要求", "不符合要求")),
    "线缆": (("有保护措施", "无保护措施"), ("有标签", "无标签"), ("接头符合要求", "接头不符合要求")),
    "光模块": (COMPLETENESS, ("插入到位", "未插入到位")),
    "机柜": (COMPLETENESS, ("柜门打开", "柜门关闭")),
    "接地线": (("捆扎整齐", "分布散乱"), ("黄绿线", "黑色线")),
}
NOTES = (
    "左侧遮挡",
    "右侧遮挡",
    "画面模糊",
    "光线较暗",
    "拍摄角度倾斜",
    "被线缆遮挡",
    "无法判断是否拧紧",
    "标签文字看不清",
    "距离较远",
    "站点距离",
    "需要补拍",
)
REASONS = (
    "挡风板缺失",
    "图片{n}中{thing}{fault}",
    "全部图片中{thing}均符合要求",
    "图片中未见{thing}，缺少证据",
    "{thing}存在且符合要求，未见不符合项",
    "有BBU设备和BBU安装螺丝，均符合要求",
    "{thing}清晰可见，安装方向正确",
    "{thing}不符合要求，需要整改",
    "图片与安装无关，无法判断",
)
FAULTS = ("未拧紧", "露铜", "复接", "生锈", "不符合要求", "分布散乱", "无保护措施", "弯曲半径不合理", "安装方向错误")
ENGLISH = ("image", "images", "text", "caption", "summary", "verdict", "reason", "system", "user", "assistant", "photo")


def domain_corpus(*, seed: int = 0, documents: int = 4000) -> Iterator[str]:
    """Prompts, captions, Stage-A lines and verdicts; the same ones for the same seed."""
    rng = random.Random(seed)
    yield from _fixed_texts()
    for _ in range(documents):
        caption = _caption(rng)
        line = render_summary(summarise(caption)) if caption.objects else CHINESE.irrelevant
        if caption.objects and rng.random() < 0.2:
            line += f"{CHINESE.note_prefix}{rng.choice(NOTES)}"
        yield render(caption)
        yield line
        verdict = rng.choice(list(Verdict))
        yield f"{verdict}\n{CHINESE.reason_prefix}{_reason(rng)}"


def _fixed_texts() -> Iterator[str]:
    for inspection in active().inspections:
        for text in inspection.prompts.texts:
            yield from [text] * 8
    for mission in missions().values():
        prompt = stage_b_prompt(mission, [CHINESE.irrelevant], {"G1": "缺少关键项时不通过"})
        yield from [mission.name, mission.requirement, mission.focus, prompt.before, prompt.after] * 8
    for name, levels in LEVELS.items():
        yield from [name, *(value for level in levels for value in level)] * 8
    yield from [*NOTES, *REASONS, *FAULTS, *ENGLISH, *string.ascii_letters, *string.punctuation] * 4


def _desc(rng: random.Random) -> str:
    name = rng.choice(list(LEVELS))
    values = [rng.choice(level) for level in LEVELS[name]]
    desc = "/".join([name, *values[: rng.randint(1, len(values))]])
    return f"{desc}/备注:{rng.choice(NOTES)}" if rng.random() < 0.1 else desc


def _caption(rng: random.Random) -> DenseCaption:
    return DenseCaption(
        tuple(CaptionObject(shape=_shape(rng), desc=_desc(rng)) for _ in range(rng.choice([0, 1, 2, 3, 5, 8])))
    )


def _shape(rng: random.Random) -> Shape:
    kind = rng.choice(list(Kind))
    points = {Kind.BBOX: 2, Kind.QUAD: 4, Kind.LINE: rng.randint(2, 8)}[kind]
    xs, ys = ([rng.randint(0, 1000) for _ in range(points)] for _ in "xy")
    if kind is Kind.BBOX:
        xs, ys = sorted(xs), sorted(ys)
    return Shape.from_points(kind, zip(xs, ys, strict=True))


def _reason(rng: random.Random) -> str:
    name = rng.choice(list(LEVELS))
    thing = rng.choice([name, rng.choice(LEVELS[name][0])])
    return rng.choice(REASONS).format(n=rng.randint(1, 16), thing=thing, fault=rng.choice(FAULTS))
