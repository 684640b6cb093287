"""The sample photos of the product: ``python -m scenes.samples OUT``.

Six photos, one irrelevant one, and a ticket of four photos, with their records. Output is byte-for-byte reproducible.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scenes.defect_rates import Theme
from scenes.scene import Scene, draw_scene
from scenes.tickets import draw_ticket
from scenes.write import record, ticket_record
from vqc.geometry import SizeWH

SIZE_WH: SizeWH = (1024, 768)
JPEG_QUALITY = 82
PHOTOS: tuple[tuple[str, Theme, int], ...] = (
    ("rack", Theme.RACK, 8),
    ("rack-tilted", Theme.RACK, 1),
    ("ports", Theme.PORTS, 8),
    ("odf", Theme.ODF, 8),
    ("ground-bar", Theme.GROUND_BAR, 1),
    ("rru", Theme.RRU, 2),
    ("drawing", Theme.IRRELEVANT, 1),
)
"""File name, theme and seed of each photo."""

TICKET_MISSION, TICKET_SEED = "挡风板安装检查", 1


def write_samples(out: Path) -> list[Path]:
    """Writes ``out/<name>.jpg``, ``out/samples.jsonl``, ``ticket-<n>.jpg`` and ``ticket.json``."""
    out.mkdir(parents=True, exist_ok=True)
    scenes = {f"{name}.jpg": draw_scene(seed, theme=theme, size_wh=SIZE_WH) for name, theme, seed in PHOTOS}
    ticket = draw_ticket(TICKET_SEED, TICKET_MISSION, size_wh=SIZE_WH)
    photos = {f"ticket-{n}.jpg": scene for n, scene in enumerate(ticket.photos, start=1)}
    written = [_save(scene, out / name) for name, scene in {**scenes, **photos}.items()]
    lines = [json.dumps(record(scene, name), ensure_ascii=False) for name, scene in scenes.items()]
    (out / "samples.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    filed = json.dumps(ticket_record(ticket, list(photos)), ensure_ascii=False, indent=2)
    (out / "ticket.json").write_text(filed + "\n", "utf-8")
    return [*written, out / "samples.jsonl", out / "ticket.json"]


def _save(scene: Scene, path: Path) -> Path:
    scene.image.save(path, quality=JPEG_QUALITY, optimize=True)
    return path


def main() -> None:
    """Writes the samples to the directory given on the command line."""
    parser = argparse.ArgumentParser(prog="python -m scenes.samples", description=__doc__)
    parser.add_argument("out", type=Path, help="output directory, created if missing")
    for path in write_samples(parser.parse_args().out):
        print(f"{path}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
