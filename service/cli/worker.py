"""``vqc worker``: judges submitted tickets from the queue."""

from __future__ import annotations

import click

from service.cli.options import engine_options


@click.command()
@click.option("--redis-url", metavar="URL", help="Redis of the API [VQC_REDIS_URL].")
@click.option(
    "--concurrency",
    "worker_concurrency",
    type=click.IntRange(1),
    help="Tickets to judge at the same time [VQC_WORKER_CONCURRENCY].",
)
@engine_options
def worker(**overrides: object) -> None:
    """Judge submitted tickets until SIGTERM, then return unfinished tickets to the queue.

    Any number of workers can share a queue. Usually the engine (VQC_ENGINE_URL) and Redis (VQC_REDIS_URL) run elsewhere.
    """
    from service.app.wiring import work
    from service.platform.settings import read_settings

    work(read_settings(**overrides))
