"""Compact spellings of a dense caption. Each expands, while it streams, to exactly the JSON that ``vqc.codec`` writes.

    [100,200,300,400]BBU设备/华为      a box; {…} is a quad, (…) a line
    (50,60,80,120)光纤/有保护措施
    .                                  the end, which tells a whole answer from one that was cut off

One object a line: a description holds no line break, and the bracket says the kind, so nothing needs a name, a number
or a quote. ``packed`` leaves the commas out too: three digits each, and ``---`` for 1000. An expanded answer goes
through ``vqc.parser`` like any other, with its rules for what is mended and what is dropped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol

from vqc import codec
from vqc.caption import MAX_DESC_LENGTH, MAX_OBJECTS, SEPARATOR_CLASS, VALUE_CLASS, DenseCaption
from vqc.geometry import MAX_LINE_POINTS, NORM, Kind
from vqc.grammar import text_rules
from vqc.prompts import Prompt, dense_prompt

BRACKETS = {Kind.BBOX: "[]", Kind.QUAD: "{}", Kind.LINE: "()"}
END = "."
FAR = "---"
"""1000 in three characters."""

_ROW = re.compile(r"(?:\[([0-9,-]*)\]|\{([0-9,-]*)\}|\(([0-9,-]*)\))(.*)", re.DOTALL)
_PACKED = re.compile(rf"(?:[0-9]{{3}}|{FAR})*")

_SYSTEM = (
    "你是通信机房与基站安装质检助手。请找出图片中与安装有关的所有物体，每个物体写一行，先上后下、先左后右，最后一行只写“.”。\n"
    "行首是几何：[框]写左上角和右下角；{{四边形}}写四个角点，从最上角起顺时针；(线)从最左端起依次写点。坐标{numbers}。\n"
    "几何之后紧接描述，按“类型/属性,属性/条件属性/备注:文字”书写，分隔符旁不留空格。没有相关物体时只写“.”。"
)


class Spelling(Protocol):
    """A way of writing captions."""

    @property
    def prompt(self) -> Prompt:
        """What asks for it."""
        ...

    def written(self, caption: DenseCaption) -> str:
        """The caption as the model is to write it."""
        ...

    def expanded(self, text: str) -> str:
        """The caption's JSON of whatever a model wrote."""
        ...


class Json:
    """Today's spelling."""

    prompt = dense_prompt()

    def written(self, caption: DenseCaption) -> str:
        """``vqc.codec.render``."""
        return codec.render(caption)

    def expanded(self, text: str) -> str:
        """The text itself."""
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """One object a line; ``packed`` writes coordinates without separators."""

    packed: bool

    @property
    def prompt(self) -> Prompt:
        """The dense prompt with this spelling described instead of JSON."""
        numbers = f"是000到999的三位数，相连不分隔，1000写作{FAR}" if self.packed else "是0到1000的整数，以逗号分隔"
        return Prompt(system=_SYSTEM.format(numbers=numbers), after=dense_prompt().after)

    def written(self, caption: DenseCaption) -> str:
        """The caption, one object a line.

        >>> from vqc.caption import CaptionObject
        >>> from vqc.geometry import Shape
        >>> caption = DenseCaption((CaptionObject(shape=Shape(Kind.BBOX, (1, 2, 30, 1000)), desc="标签/5G"),))
        >>> Rows(packed=False).written(caption), Rows(packed=True).written(caption)
        ('[1,2,30,1000]标签/5G\\n.', '[001002030---]标签/5G\\n.')
        """
        rows = []
        for item in caption.objects:
            opening, closing = BRACKETS[item.shape.kind]
            numbers = map(self._number, map(int, item.shape.xy))
            rows.append(f"{opening}{('' if self.packed else ',').join(numbers)}{closing}{item.desc}\n")
        return "".join([*rows, END])

    def expanded(self, text: str) -> str:
        """The JSON of a whole answer.

        >>> Rows(packed=True).expanded("[001002030---]标签/5G\\n.")
        '{"object_1": {"bbox_2d": [1, 2, 30, 1000], "desc": "标签/5G"}}'
        """
        return Expansion(self).feed(text)

    @property
    def grammar(self) -> str:
        """GBNF of ``written``, exact up to the order of numbers as the caption's own is (ADR 0003)."""
        n = f'[0-9] [0-9] [0-9] | "{FAR}"' if self.packed else f'"0" | [1-9] [0-9]? [0-9]? | "{NORM}"'
        return "\n".join(
            [
                "root ::= r1",
                *(f'r{k} ::= "{END}" | row r{k + 1}' for k in range(1, MAX_OBJECTS + 1)),
                f'r{MAX_OBJECTS + 1} ::= "{END}"',
                "row ::= shape desc",
                f'shape ::= "[" n c{{3}} "]" | "{{" n c{{7}} "}}" | "(" n c (c c){{1,{MAX_LINE_POINTS - 1}}} ")"',
                "c ::= n" if self.packed else 'c ::= "," n',
                f"n ::= {n}",
                *text_rules("desc", VALUE_CLASS, MAX_DESC_LENGTH, r'"\n"', separator=SEPARATOR_CLASS),
            ]
        )

    def value(self, row: str) -> object:
        """An object's JSON value; the row as it is when it cannot be read, which the parser then drops and names."""
        match = _ROW.fullmatch(row)
        if match is None:
            return row
        kind, numbers = next(
            (kind, text) for kind, text in zip(BRACKETS, match.groups()[:3], strict=True) if text is not None
        )
        xy = self._coordinates(numbers)
        if xy is None:
            return row
        points = {"line_points": len(xy) // 2} if kind is Kind.LINE else {}
        return {**points, kind.value: xy, "desc": match[4]}

    def _number(self, value: int) -> str:
        if not self.packed:
            return str(value)
        return FAR if value == NORM else f"{value:03}"

    def _coordinates(self, text: str) -> list[int] | None:
        if self.packed:
            pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
            return [NORM if p == FAR else int(p) for p in pieces] if _PACKED.fullmatch(text) else None
        pieces = text.split(",")
        return [int(p) for p in pieces] if all(re.fullmatch("[0-9]{1,4}", p) for p in pieces) else None


@dataclass(slots=True)
class Expansion:
    """Turns an answer into JSON while it streams: each call returns what the text so far makes certain.

    >>> expansion = Expansion(Rows(packed=False))
    >>> expansion.feed("[1,2,3,4]标"), expansion.feed("签\\n(5,6")
    ('', '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签"}')
    """

    spelling: Rows
    _pending: str = field(default="", init=False)
    _objects: int = field(default=0, init=False)
    _closed: bool = field(default=False, init=False)

    def feed(self, delta: str) -> str:
        """The JSON text that ``delta`` completes. What follows the end stays as it is, for the parser to complain of."""
        if self._closed:
            return delta
        self._pending += delta
        pieces = []
        while not self._closed:
            if self._pending.startswith(END):
                pieces += ["" if self._objects else "{", "}", self._pending.removeprefix(END)]
                self._closed = True
                break
            row, ended, rest = self._pending.partition("\n")
            if not ended:
                break
            pieces.append(self._member(row))
            self._pending = rest
        return "".join(pieces)

    def _member(self, row: str) -> str:
        self._objects += 1
        member = codec.dumps({f"{codec.KEY_PREFIX}{self._objects}": self.spelling.value(row)})[1:-1]
        return f"{'{' if self._objects == 1 else ', '}{member}"


SPELLINGS: dict[str, Spelling] = {"JSON": Json(), "rows": Rows(packed=False), "packed rows": Rows(packed=True)}
