"""Made-up answers in the product's formats, for an engine without a model. Equal requests get equal answers.

The grammar of a request determines its task. An answer has the right form and no meaning. The verdicts of one ticket
mostly agree, and tend to 不通过 if the request mentions a flaw, so that votes, reviews and reports look realistic.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from engine.protocol import GenerateRequest
from vqc.answer_words import CHINESE, AnswerWords
from vqc.caption import CaptionObject, DenseCaption
from vqc.codec import render as render_caption
from vqc.geometry import NORM, Kind, Shape
from vqc.grammar import CAPTION_GRAMMAR, summary_grammar, verdict_grammar
from vqc.image import EncodedPhoto
from vqc.missions import active, missions
from vqc.summary import render as render_summary
from vqc.summary import summarise
from vqc.verdict import Verdict, VerdictAnswer
from vqc.verdict import render as render_verdict

_Task = Literal["caption", "summary", "operations", "text"]

_DESCS: dict[Kind, tuple[str, ...]] = {
    Kind.BBOX: (
        "BBU设备/华为,显示完整,机柜空间充足需要安装/这个BBU设备按要求配备了挡风板",
        "BBU设备/中兴,只显示部分,无需安装",
        "挡风板/华为,显示完整,安装方向正确",
        "螺丝、光纤插头/BBU安装螺丝,显示完整,符合要求",
        "螺丝、光纤插头/地排处接地螺丝,显示完整,不符合要求/未拧紧",
    ),
    Kind.QUAD: ("标签/5G-BBU", "标签/无法识别"),
    Kind.LINE: ("光纤/有保护措施,弯曲半径合理/蛇形管", "电线/捆扎整齐", "电线/分布散乱"),
}
_RULES = ("只看任务重点中的物体", "备注与主句矛盾时以备注为准", "关键项只显示部分时按不通过处理")
_REASONS = {
    Verdict.PASS: ("图片1中BBU设备与BBU安装螺丝均符合要求", "挡风板已按要求配备，安装方向正确"),
    Verdict.FAIL: ("图片2中接地螺丝未拧紧", "挡风板缺失", "电线分布散乱"),
}


def plausible_answer(request: GenerateRequest, index: int) -> str:
    """The answer of completion ``index``: a function of photos, texts and the completion's own seed (none when greedy)."""
    digest = sha256(request.system.encode())
    for part in request.user:
        digest.update((part.digest if isinstance(part, EncodedPhoto) else part).encode())
        digest.update(b"\0")
    content, seed = digest.hexdigest(), _child_seed(request, index)
    words = _words_of(request.grammar)
    if words is not None and request.grammar == verdict_grammar(words):
        return _verdict(content, seed, fail_probability(request), words)
    tasks: dict[str | None, _Task] = {CAPTION_GRAMMAR: "caption", summary_grammar(words or CHINESE): "summary"}
    task = tasks.get(request.grammar, "operations" if '"operations"' in request.system else "text")
    return _answer(task, f"{content}/{seed}", words or CHINESE)


def _words_of(grammar: str | None) -> AnswerWords | None:
    """The words of the active inspections that a grammar is made of."""
    every = {CHINESE, *(one.words for one in active().inspections)} if grammar else ()
    return next((words for words in every if grammar in (summary_grammar(words), verdict_grammar(words))), None)


def fail_probability(request: GenerateRequest) -> float:
    """The probability that a plausible verdict is 不通过: high if the texts mention a flaw of the mission's key items."""
    text = "\n".join(part for part in request.user if isinstance(part, str))
    mentioned = (mission for name, mission in missions().items() if name in text)
    flawed = any(flaw in text for mission in mentioned for item in mission.key_items for flaw in item.negative)
    return 0.93 if flawed else 0.05


def verdict_script(probability: Callable[[GenerateRequest], float]) -> Callable[[GenerateRequest, int], str]:
    """A script whose verdicts are 不通过 with the given probability per request, drawn for each completion.

    >>> from engine.protocol import DecodingParams
    >>> request = GenerateRequest(
    ...     request_id="r",
    ...     system="",
    ...     user=("问",),
    ...     decoding=DecodingParams(max_new_tokens=64, temperature=1),
    ...     grammar=verdict_grammar(),
    ... )
    >>> verdict_script(lambda request: 1.0)(request, 0).splitlines()[0]
    '不通过'
    """

    def script(request: GenerateRequest, index: int) -> str:
        words = _words_of(request.grammar)
        if words is None or request.grammar != verdict_grammar(words):
            return plausible_answer(request, index)
        texts = "\0".join(part.digest if isinstance(part, EncodedPhoto) else part for part in request.user)
        seed = _child_seed(request, index)
        return _verdict(sha256(texts.encode()).hexdigest(), seed, probability(request), words)

    return script


def _child_seed(request: GenerateRequest, index: int) -> int:
    decoding = request.decoding
    return (decoding.seed or 0) + index if decoding.temperature else 0


def _verdict(content: str, seed: int, probability: float, words: AnswerWords) -> str:
    rng = random.Random(f"{content}/{seed}")
    verdict = Verdict.FAIL if rng.random() < probability else Verdict.PASS
    return render_verdict(VerdictAnswer(verdict=verdict, reason=rng.choice(_REASONS[verdict])), words)


@lru_cache(maxsize=4096)
def _answer(task: _Task, key: str, words: AnswerWords) -> str:
    rng = random.Random(key)
    match task:
        case "caption":
            return render_caption(_caption(rng))
        case "summary":
            return render_summary(summarise(_caption(rng), words), words)
        case "operations":
            rule = {"op": "add", "text": rng.choice(_RULES), "evidence": ["T1"]}
            return json.dumps({"operations": [rule]}, ensure_ascii=False)
        case "text":
            return f"好的，这是第{rng.randint(1, 999)}号回答。"


def _caption(rng: random.Random) -> DenseCaption:
    """An empty caption for one photo in ten, else one to eight objects."""
    count = 0 if rng.random() < 0.1 else rng.randint(1, 8)
    return DenseCaption(tuple(_object(rng) for _ in range(count)))


def _object(rng: random.Random) -> CaptionObject:
    kind = rng.choice(list(Kind))
    x1, y1 = rng.randint(0, NORM - 100), rng.randint(0, NORM - 100)
    x2, y2 = rng.randint(x1 + 20, NORM), rng.randint(y1 + 20, NORM)
    xy = {
        Kind.BBOX: (x1, y1, x2, y2),
        Kind.QUAD: (x1, y1, x2, y1, x2, y2, x1, y2),
        Kind.LINE: (x1, y1, (x1 + x2) // 2, y2, x2, y1),
    }[kind]
    return CaptionObject(shape=Shape(kind, xy), desc=rng.choice(_DESCS[kind]))
