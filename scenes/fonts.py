"""The only font of the product's pictures: Noto Sans CJK SC, subset to GB2312, shipped with its licence.

A character outside GB2312 is drawn as the font's placeholder box, never dropped.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files

from PIL import ImageFont

FONT_FILE = "NotoSansCJKsc-gb2312.otf"


@cache
def cjk_font(size_px: int) -> ImageFont.FreeTypeFont:
    """The font at this em size in pixels (at least 1). Basic layout, so that every machine draws the same pixels.

    >>> cjk_font(20).getlength("光纤")
    40.0
    """
    with as_file(files("scenes") / "assets" / FONT_FILE) as path:
        return ImageFont.truetype(path, max(1, size_px), layout_engine=ImageFont.Layout.BASIC)
