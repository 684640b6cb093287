"""``vqc up``: everything on one machine."""

from __future__ import annotations

import click

from service.cli.options import engine_options


@click.command()
@click.option("--host", help="Address to listen on [VQC_HOST, 127.0.0.1].")
@click.option("--port", type=int, help="Port to listen on [VQC_PORT, 8080].")
@engine_options
def up(**overrides: object) -> None:
    """Start Redis, the engine, the API and a worker as one process tree; SIGTERM stops all of it, losing nothing."""
    from service.app.wiring import serve
    from service.platform.settings import read_settings

    serve(read_settings(**overrides), judge=True)
