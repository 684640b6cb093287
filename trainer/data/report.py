"""An HTML page about a data set: its contents, its problems, and photos with their annotations drawn."""

from __future__ import annotations

import html
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from trainer.data.dataset import SampleDataset
from trainer.data.example import Example
from trainer.data.images import data_url
from trainer.data.preview import annotate, sheet
from trainer.data.problems import DataError
from trainer.data.records import Task
from trainer.data.validate import DataReport

_STYLE = """body{font:15px/1.5 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;margin:2rem auto;
max-width:72rem;padding:0 1rem;color:#1e2024;background:#fafaf8}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}
table{border-collapse:collapse}td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #e2e2de}
td+td,th+th{text-align:right}.bad{color:#b3261e}.ok{color:#1b6e3c}li{font-family:ui-monospace,monospace;font-size:.85rem}
figure{margin:0 0 1.5rem}img{max-width:100%}pre{white-space:pre-wrap;background:#f0f0ec;padding:.6rem;font-size:.8rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(24rem,1fr));gap:1.2rem}"""


def write_report(report: DataReport, dataset: SampleDataset, out: Path, photos: int = 12) -> tuple[Path, Path]:
    """Writes ``report.html`` (self-contained) and ``annotations.png`` to the directory ``out``; returns their paths.

    Shows the first ``photos`` photo records that can be read, augmented if the data set is.
    """
    out.mkdir(parents=True, exist_ok=True)
    shown = list(_photos(dataset, photos))
    page, picture = out / "report.html", out / "annotations.png"
    page.write_text(_page(report, shown), "utf-8")
    tiles = [(annotate(example.images[0], example.objects), _place(example)) for example in shown]
    if tiles:
        sheet(tiles, columns=min(4, len(tiles))).save(picture)
    return page, picture


def write_contact_sheet(dataset: SampleDataset, out: Path, *, records: int = 4, variants: int = 5) -> Path:
    """Writes a PNG with one row per photo record: its samples of the epochs 0 to ``variants`` - 1, labels drawn.

    Captions name the applied operations, the number of objects and the share of padding.
    """
    tiles, rows = [], 0
    for record in range(len(dataset)):
        row = [dataset.example(record, epoch) for epoch in range(variants)]
        if not row[0].objects:
            continue
        tiles += [(annotate(example.images[0], example.objects), _story(example)) for example in row]
        rows += 1
        if rows == records:
            break
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet(tiles, columns=variants).save(out)
    return out


def _photos(dataset: SampleDataset, count: int) -> Iterable[Example]:
    for record in range(len(dataset)):
        if count == 0:
            return
        try:
            example = dataset.example(record, 0)
        except DataError:
            continue  # the report lists it among the problems
        if example.task in (Task.DENSE, Task.STAGE_A):
            count -= 1
            yield example


def _place(example: Example) -> str:
    path, _, line = example.source.rpartition(":")
    width, height = example.sizes_wh[0]
    return f"{Path(path).name}:{line}  {width} × {height} px, {len(example.objects)} objects"


def _story(example: Example) -> str:
    telemetry = example.telemetry
    size = "{} × {}".format(*example.sizes_wh[0])
    if telemetry is None or telemetry.bypassed:
        return f"{size}: not augmented"
    skips = "".join(f", no {reason}" for reason in telemetry.skips)
    kept = f"{len(telemetry.kept_indices)} objects, padding {telemetry.padding_ratio:.0%}{skips}"
    names = [name.split("_to_")[0] for name in telemetry.applied]
    half = (len(names) + 1) // 2
    return "\n".join([f"{size}, {kept}", " ".join(names[:half]), " ".join(names[half:])])


def _page(report: DataReport, shown: list[Example]) -> str:
    state = "bad" if report.errors else "ok"
    verdict = f"{len(report.errors)} errors, {len(report.warnings)} warnings"
    parts = [
        f"<h1>{html.escape(report.path.name)}</h1>",
        f'<p>{report.records} records, {report.usable} usable. <b class="{state}">{verdict}</b></p>',
        _table("Tasks", report.tasks),
        _table("Geometries", report.kinds),
        _table("Categories", report.categories),
        _list("Errors", report.errors),
        _list("Warnings", report.warnings),
        "<h2>Photos</h2><div class=grid>",
        *map(_figure, shown),
        "</div>",
    ]
    title = html.escape(f"Data report: {report.path.name}")
    body = "\n".join(part for part in parts if part)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}\n{body}\n</html>\n'


def _table(title: str, counts: dict[str, int]) -> str:
    if not counts:
        return ""
    ordered = sorted(counts.items(), key=lambda pair: -pair[1])
    rows = "".join(f"<tr><td>{html.escape(str(name))}</td><td>{count}</td></tr>" for name, count in ordered)
    return f"<h2>{title}</h2><table>{rows}</table>"


def _list(title: str, problems: Iterable[object]) -> str:
    items = "".join(f"<li>{html.escape(str(problem))}</li>" for problem in problems)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _figure(example: Example) -> str:
    buffer = BytesIO()
    annotate(example.images[0], example.objects, legend=True).save(buffer, "JPEG", quality=85)
    caption = html.escape(_place(example))
    answer = html.escape(example.answer)
    picture = f'<img src="{data_url(buffer.getvalue())}" alt="{caption}">'
    return f"<figure>{picture}<figcaption>{caption}</figcaption><pre>{answer}</pre></figure>"
