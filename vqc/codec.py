"""The JSON form of a dense caption, as the model is trained to answer:

    {"object_1": {"bbox_2d": [100, 200, 300, 400], "desc": "BBU设备/华为"},
     "object_2": {"line_points": 2, "line": [50, 60, 80, 120], "desc": "光纤/有保护措施"}}

on one line, with the separators ``", "`` and ``": "`` and unescaped Chinese. ``vqc.parser`` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from vqc.caption import CaptionObject, DenseCaption
from vqc.geometry import Kind

KEY_PREFIX = "object_"


def as_dict(item: CaptionObject) -> dict[str, object]:
    """One object in the caption's JSON form; its coordinates keep their space.

    >>> from vqc.geometry import Shape
    >>> as_dict(CaptionObject(shape=Shape(Kind.LINE, (1, 2, 3, 4)), desc="光纤"))
    {'line_points': 2, 'line': [1, 2, 3, 4], 'desc': '光纤'}
    """
    kind, xy = item.shape.kind, list(item.shape.xy)
    points = {"line_points": len(xy) // 2} if kind is Kind.LINE else {}
    return {**points, kind.value: xy, "desc": item.desc}


def objects_by_key(objects: Iterable[CaptionObject]) -> dict[str, dict[str, object]]:
    """The objects under contiguous keys ``object_1`` to ``object_n``, in the given order."""
    return {f"{KEY_PREFIX}{n}": as_dict(item) for n, item in enumerate(objects, start=1)}


def render(caption: DenseCaption) -> str:
    """The caption as the model writes it.

    >>> from vqc.geometry import Shape
    >>> render(DenseCaption((CaptionObject(shape=Shape(Kind.BBOX, (1, 2, 3, 4)), desc="标签/5G"),)))
    '{"object_1": {"bbox_2d": [1, 2, 3, 4], "desc": "标签/5G"}}'
    """
    return dumps(objects_by_key(caption.objects))


def dumps(value: Mapping[str, object]) -> str:
    """JSON in the caption's format: one line, a space after each separator, Chinese unescaped."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
