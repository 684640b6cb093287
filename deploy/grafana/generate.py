"""Writes ``deploy/grafana/dashboards/*.json``: ``python -m deploy.grafana.generate``; a test compares them."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import build_dashboard

OUT = Path(__file__).parent / "dashboards"


def files() -> dict[str, str]:
    """Each dashboard's file name and JSON."""
    encoder = JSONEncoder(sort_keys=True, indent=1)
    return {f"{board.uid}.json": encoder.encode(build_dashboard(board).build()) + "\n" for board in BOARDS}


if __name__ == "__main__":
    for name, text in files().items():
        (OUT / name).write_text(text, "utf-8")
