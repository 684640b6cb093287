"""The command ``vqc-bench drafts``."""

from __future__ import annotations

from pathlib import Path

import click

from engine.profile import DRAFTS, EngineSettings
from loadtest.counts import Counts


@click.command()
@click.option(
    "--model", type=click.Path(exists=True, file_okay=False, path_type=Path), default=Path("deploy/demo/model"),
    show_default=True, help="The checkpoint that vLLM serves.",
)  # fmt: skip
@click.option("--drafts", type=click.IntRange(1, 64), default=DRAFTS, show_default=True, help="Tokens guessed at once.")
@click.option("--engine-args", default="", help="Further vLLM flags, separated by spaces.")
@click.option("--clients", type=Counts(), default="1,8", show_default=True, help="Clients at once, a level each.")
@click.option(
    "--photos", type=click.IntRange(1), default=40, show_default=True, help="Photos for each client and task."
)
@click.option("--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="Pairs of engines.")
@click.option("--width", type=click.IntRange(256, 8192), default=512, show_default=True, help="Photo width, pixels.")
@click.option("--height", type=click.IntRange(192, 8192), default=384, show_default=True, help="Photo height, pixels.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def drafts(
    model: Path,
    drafts: int,
    engine_args: str,
    clients: tuple[int, ...],
    photos: int,
    rounds: int,
    width: int,
    height: int,
    as_document: bool,
) -> None:
    """Answers a second with and without guessing ahead, in turns; each photo is new, and the answers are compared."""
    from rich.console import Console

    from loadtest.loop import run
    from loadtest.report import as_json
    from loadtest.suites.speculation import compare

    settings = EngineSettings(model=model, max_model_len=8192, drafts=drafts, extra_args=tuple(engine_args.split()))
    with Console(stderr=True).status("drawing photos") as status:
        rows = run(compare(settings, (width, height), photos, clients, rounds, status.update))
    if as_document:
        click.echo(as_json(rows))
        return
    for row in rows:
        click.echo(
            f"{row.task}, {row.clients} at once: {row.per_s} a second with drafts, {row.without_per_s} without: "
            f"{row.ratio} times; {row.tokens_a_step} tokens a step, {row.accepted:.0%} of the drafts right; "
            f"{row.same} of {row.answers} answers the same"
        )
