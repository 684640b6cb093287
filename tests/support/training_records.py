"""Two records of training data: a photo and a ticket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

WriteRecords = Callable[..., Path]


PHOTO: dict[str, object] = {
    "images": ["a.png"],
    "width": 128,
    "height": 96,
    "objects": [
        {"bbox_2d": [10, 10, 40, 40], "desc": "BBU设备/华为,显示完整"},
        {"quad": [50, 10, 90, 10, 90, 40, 50, 40], "desc": "标签/5G"},
        {"line": [5, 90, 60, 50, 120, 90], "line_points": 3, "desc": "光纤/有保护措施"},
    ],
    "summary": "BBU设备/华为,显示完整×1，标签×1，光纤/有保护措施×1",
}


TICKET: dict[str, object] = {
    "task": "verdict",
    "images": ["a.png", "b.png"],
    "summaries": ["BBU设备×1", "无关图片"],
    "mission": "挡风板安装检查",
    "verdict": "不通过",
    "reason": "挡风板缺失",
}
