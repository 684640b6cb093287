"""Writes the report: ``report.json``, and a page that shows the photos with the most errors, labels next to answers."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path

from PIL import Image

from trainer.data.images import ImageRef, canonical_pixels
from trainer.evaluation.evaluate import Evaluation, PhotoResult
from vqc.caption import CaptionObject

WORST = 24
WIDTH_PX = 640

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem;max-width:1400px}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:0 1rem 1rem 0;vertical-align:top}
img{max-width:640px;height:auto}section{border-top:1px solid #ddd;margin-top:1.5rem}
"""


def write_report(result: Evaluation, directory: Path, *, worst: int = WORST) -> Path:
    """Writes the page and ``report.json`` to a directory; returns the page's path."""
    directory.mkdir(parents=True, exist_ok=True)
    report = result.as_dict()
    (directory / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    page = directory / "report.html"
    page.write_text(_page(result, worst), encoding="utf-8")
    return page


def _page(result: Evaluation, worst: int) -> str:
    report = result.as_dict()
    headline = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{_number(value)}</td></tr>"
        for key, value in report.items()
        if not isinstance(value, dict)
    )
    categories = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{score.labelled}</td><td>{score.answered}</td>"
        f"<td>{_number(score.f1_50)}</td><td>{_number(score.f1)}</td></tr>"
        for name, score in result.categories.items()
    )
    cases = sorted((item for item in result.photos if item.errors), key=lambda item: -item.errors)[:worst]
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>Evaluation</title><style>{_STYLE}</style>"
        f"<h1>Evaluation</h1><table>{headline}</table>"
        "<h2>Categories</h2><table><tr><th>category</th><th>labelled</th><th>answered</th><th>F1@0.5</th>"
        f"<th>F1@0.5:0.95</th></tr>{categories}</table>"
        f"<h2>Photos with the most errors</h2>{''.join(map(_case, cases)) or '<p>None.</p>'}</html>"
    )


def _case(item: PhotoResult) -> str:
    assert item.matching is not None
    image = canonical_pixels(ImageRef(path=item.photo.path))
    pictures = "".join(
        f"<figure><img src='{_picture(image, objects)}' alt=''><figcaption>{title}</figcaption></figure>"
        for title, objects in (("labelled", item.matching.labelled), ("answered", item.matching.answered))
    )
    notes = "; ".join(item.caption.notes) if item.caption else ""
    line = ""
    if item.line is not None and item.line.summary != item.photo.summary:
        from vqc.summary import render

        answered = render(item.line.summary) if item.line.summary else "unreadable"
        labelled = render(item.photo.summary) if item.photo.summary else "-"
        line = f"<p>line, labelled: {html.escape(labelled)}<br>line, answered: {html.escape(answered)}</p>"
    return (
        f"<section><h3>{html.escape(item.photo.path.name)}: {item.errors} errors</h3>{pictures}"
        f"<p>{html.escape(notes)}</p>{line}</section>"
    )


def _picture(image: Image.Image, objects: tuple[CaptionObject, ...]) -> str:
    """The photo with these norm1000 objects drawn, as a data URL."""
    from scenes.overlay import draw_overlay

    drawn = draw_overlay(image, [item.to_pixels(image.size) for item in objects])
    drawn.thumbnail((WIDTH_PX, WIDTH_PX * 2))
    encoded = io.BytesIO()
    drawn.convert("RGB").save(encoded, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()


def _number(value: object) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))
