"""``vqc up``: the whole service on one machine."""

from __future__ import annotations

import click

from service.cli.options import engine_options


@click.command()
@click.option("--host", help="Address to listen on [VQC_HOST, 127.0.0.1].")
@click.option("--port", type=int, help="Port to listen on [VQC_PORT, 8080].")
@engine_options
def up(**overrides: object) -> None:
    """Run Redis, the engine, the API and a worker as one process tree until SIGTERM; no accepted ticket is lost."""
    from service.app.wiring import serve
    from service.platform.settings import read_settings

    serve(read_settings(**overrides), judge=True)
