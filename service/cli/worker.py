"""``vqc worker``: judges submitted tickets off the queue."""

from __future__ import annotations

import click

from service.cli.options import engine_options


@click.command()
@click.option("--redis-url", metavar="URL", help="The Redis of the API [VQC_REDIS_URL].")
@click.option(
    "--concurrency", "worker_concurrency", type=click.IntRange(1), help="Tickets at once [VQC_WORKER_CONCURRENCY]."
)
@engine_options
def worker(**overrides: object) -> None:
    """Judge submitted tickets until SIGTERM, then give back those that are begun.

    Any number of workers may share a queue. Usually the engine is elsewhere (VQC_ENGINE_URL), as is Redis (VQC_REDIS_URL).
    """
    from service.app.wiring import work
    from service.platform.settings import read_settings

    work(read_settings(**overrides))
