"""``vqc api``: the HTTP service."""

from __future__ import annotations

import click

from service.cli.options import engine_options


@click.command()
@click.option("--host", help="Address to listen on [VQC_HOST, 127.0.0.1].")
@click.option("--port", type=int, help="Port to listen on [VQC_PORT, 8080].")
@engine_options
def api(**overrides: object) -> None:
    """Serve captions and Stage-A, and accept tickets for `vqc worker`, until SIGTERM; then drain."""
    from service.app.wiring import serve
    from service.platform.settings import read_settings

    serve(read_settings(**overrides))
