"""The ``vqc-train`` command. Heavy imports happen inside the subcommands, so ``--help`` is fast."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from registry.references import take_inspections
from vqc.errors import VqcError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_OUT = click.Path(path_type=Path)


class _Group(click.Group):
    """Reports an error of this product as one message with exit status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except VqcError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Train, evaluate and export models for the service."""
    take_inspections()


@main.command()
@click.argument("config", type=_FILE)
@click.option("--base", type=_FILE, help="Base configuration that CONFIG is merged over.")
@click.option(
    "--debug",
    is_flag=True,
    help="Log the settings, the data, and every request to a student's server, and write the first conversation as the model "
    "reads it.",
)
@click.option("--dry-run", is_flag=True, help="Print the resolved configuration and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON document.")
def run(config: Path, base: Path | None, debug: bool, dry_run: bool, as_json: bool) -> None:
    """Run the training of CONFIG (YAML). Use torchrun for one process per device."""
    from trainer.config import load_config, notes, resolved_yaml

    loaded = load_config(config, base)
    for note in notes(loaded):
        click.echo(f"note: {note}", err=True)
    if dry_run:
        click.echo(resolved_yaml(loaded), nl=False)
        return
    from trainer.training.checkpoints import check_named
    from trainer.training.logs import configure, get_logger, is_first_rank

    check_named(loaded)  # before torch is loaded
    configure(debug=debug)
    get_logger("trainer.run").debug("configuration %s:\n%s", config, resolved_yaml(loaded).rstrip())
    from trainer.training.ranks import end_process_group
    from trainer.training.run import run as start

    result = start(loaded, debug=debug)
    end_process_group()
    if not is_first_rank():
        return
    if as_json:
        click.echo(json.dumps(result.as_dict(), ensure_ascii=False))
    else:
        click.echo(f"{result.steps} steps; checkpoint: {result.checkpoint or 'none saved'}")


@main.command()
@click.argument("checkpoint", type=_DIRECTORY)
@click.argument("out", type=_OUT)
@click.option("--dtype", type=click.Choice(["bfloat16", "float32"]), default="bfloat16", show_default=True)
@click.option("--register", is_flag=True, help="Push OUT to the registry and print the version's digest.")
@click.option(
    "--registry", "where", envvar="VQC_REGISTRY", show_envvar=True, metavar="WHERE", help="Registry for --register."
)
@click.option("--alias", metavar="NAME", help="Point this alias at the registered version.")
def export(checkpoint: Path, out: Path, dtype: str, register: bool, where: str | None, alias: str | None) -> None:
    """Merge CHECKPOINT and write OUT, a model directory for the service."""
    if register and not where:
        raise click.UsageError("--register needs --registry or VQC_REGISTRY")
    if alias and not register:
        raise click.UsageError("--alias needs --register")
    from registry import open_registry
    from trainer.export import export as write

    registry = open_registry(where) if register and where else None
    click.echo(write(checkpoint, out, dtype=dtype))
    if registry is not None:
        from registry.checkpoint import read_checkpoint
        from registry.inspections import inspections_for_push

        brought = inspections_for_push(registry, read_checkpoint(out).facts.contract, ())
        click.echo(registry.push(out, alias=alias, inspections=brought).digest)


@main.command()
@click.argument("model_dir", type=_DIRECTORY, required=False)
@click.option("--url", help="Evaluate the running service at this URL instead of MODEL_DIR.")
@click.option("--api-key", envvar="VQC_API_KEY", help="API key of the service.")
@click.option("--data", type=_FILE, required=True, help="Labelled photos (JSONL).")
@click.option("--tickets", type=_FILE, help="Labelled tickets (JSONL), for the verdict accuracy.")
@click.option("--limit", type=click.IntRange(min=1), help="Evaluate only the first N records.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=16, show_default=True,
    help="Photos per batch, or concurrent requests with --url.",
)  # fmt: skip
@click.option(
    "--max-new-tokens", type=click.IntRange(min=1), default=2048, show_default=True,
    help="Longest caption, tokens (MODEL_DIR only).",
)  # fmt: skip
@click.option("--report", type=_OUT, help="Directory for report.json and a page with the worst photos.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as one JSON document.")
def evaluate(
    model_dir: Path | None,
    url: str | None,
    api_key: str | None,
    data: Path,
    tickets: Path | None,
    limit: int | None,
    batch_size: int,
    max_new_tokens: int,
    report: Path | None,
    as_json: bool,
) -> None:
    """Evaluate MODEL_DIR, or the service at --url, on labelled photos and tickets."""
    if (model_dir is None) == (url is None):
        raise click.UsageError("give either MODEL_DIR or --url")
    from trainer.evaluation import evaluate_model

    result = evaluate_model(
        model_dir,
        url=url,
        api_key=api_key,
        data=data,
        tickets=tickets,
        limit=limit,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )
    if report is not None:
        from trainer.evaluation.page import write_report

        click.echo(f"report: {write_report(result, report)}", err=True)
    if as_json:
        click.echo(json.dumps(result.as_dict(), ensure_ascii=False))
    else:
        click.echo(result.table())


@main.command()
@click.argument("source", type=_FILE)
@click.option("--out", type=_OUT, help="Output file; default: standard output.")
@click.option(
    "--swift-version", type=click.Choice(["3", "4"]), default="4", show_default=True, help="ms-swift version to write."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result and the unconverted keys as one JSON document.")
def convert(source: Path, out: Path | None, swift_version: str, as_json: bool) -> None:
    """Convert ms-swift's YAML or args.json to a configuration of this trainer, or the other way round.

    Keys without a counterpart are listed on standard error. The exit status is 1 if the result cannot run unchanged.
    """
    from trainer.convert import convert as convert_file

    result = convert_file(source, swift_version=3 if swift_version == "3" else 4)
    if out is not None:
        out.write_text(result.text, encoding="utf-8")
    if as_json:
        click.echo(json.dumps(result.as_dict(), ensure_ascii=False))
    else:
        if out is None:
            click.echo(result.text, nl=False)
        for item in result.conversion.lost:
            click.echo(f"not converted: {item}", err=True)
        for problem in result.problems:
            click.echo(f"to fix: {problem}", err=True)
    if result.problems:
        raise SystemExit(1)


@main.command()
@click.argument("out", type=_OUT)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the scenes.")
@click.option("--count", type=click.IntRange(min=1), default=100, show_default=True, help="Number of photos.")
@click.option(
    "--tickets", type=click.IntRange(min=0), default=0, show_default=True, help="Number of additional tickets."
)
@click.option(
    "--domain", type=click.Choice(["base", "shifted"]), default="base", show_default=True,
    help="shifted adds a new brand and a new item.",
)  # fmt: skip
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
def scenes(out: Path, seed: int, count: int, tickets: int, domain: str, workers: int) -> None:
    """Draw labelled synthetic photos into OUT: OUT/images and OUT/data.jsonl."""
    from scenes.rules import RULES
    from scenes.write import write_dataset, write_tickets

    with click.progressbar(length=count + tickets, label="drawing", file=sys.stderr) as bar:
        path = write_dataset(
            out, seed=seed, count=count, domain=domain, workers=workers, progress=lambda done, total: bar.update(1)  # type: ignore[arg-type]
        )  # fmt: skip
        click.echo(path)
        if tickets:
            path = write_tickets(
                out / "tickets", seed=seed, missions=tuple(RULES), count=tickets, domain=domain, workers=workers,  # type: ignore[arg-type]
                progress=lambda done, total: bar.update(1),
            )  # fmt: skip
            click.echo(path)


@main.command()
@click.argument("data", type=_FILE)
@click.option("--summary", is_flag=True, help="Require a summary in every photo record (summary or mixed mode).")
@click.option("--decode", is_flag=True, help="Decode all pixels, which finds truncated files.")
@click.option("--report", "page", type=_OUT, help="Directory for an HTML page and a picture with drawn annotations.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def validate(data: Path, summary: bool, decode: bool, page: Path | None, as_json: bool) -> None:
    """Check every record of DATA (JSONL). The exit status is 1 if one cannot be used."""
    from trainer.data import SampleDataset
    from trainer.data import validate as check

    report = check(data, summary_share=1.0 if summary else 0.0, decode=decode)
    if page is not None:
        from trainer.data.report import write_report

        written, _ = write_report(report, SampleDataset(data, shuffle=False), page)
        click.echo(f"report: {written}", err=True)
    if as_json:
        click.echo(json.dumps(report.as_dict(), ensure_ascii=False))
    else:
        for problem in report.problems:
            click.echo(str(problem))
        click.echo(f"{report.usable} of {report.records} records can be used")
    if report.errors:
        raise SystemExit(1)


@main.command("contact-sheet")
@click.argument("config", type=_FILE)
@click.argument("out", type=_OUT)
@click.option(
    "--records", type=click.IntRange(min=1), default=4, show_default=True, help="Number of photos, one per row."
)
@click.option(
    "--variants", type=click.IntRange(min=1), default=5, show_default=True, help="Number of epochs per photo."
)
def contact_sheet(config: Path, out: Path, records: int, variants: int) -> None:
    """Write OUT (PNG): augmented photos of CONFIG's training data with their labels drawn."""
    from trainer.config import load_config
    from trainer.data import dataset_from_config
    from trainer.data.report import write_contact_sheet
    from trainer.data.synthetic import draw_data

    loaded = load_config(config)
    scenes = loaded.custom.scenes
    path = draw_data(scenes, loaded.training.run_dir / "scenes")["train"] if scenes else None
    dataset = dataset_from_config(loaded, "train", path)
    click.echo(write_contact_sheet(dataset, out, records=records, variants=variants))


@main.command()
@click.argument("out", type=_OUT)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random weights.")
@click.option(
    "--size", type=click.Choice(["tiny", "demo", "4b"]), default="tiny", show_default=True,
    help="tiny: 3 M parameters, demo: 11 M, 4b: the shape of Qwen3-VL-4B.",
)  # fmt: skip
def tiny(out: Path, seed: int, size: str) -> None:
    """Create OUT, a complete Qwen3-VL checkpoint with random weights."""
    from trainer.tiny_checkpoint import SIZES, build_tiny_checkpoint

    try:
        click.echo(build_tiny_checkpoint(out, seed=seed, architecture=SIZES[size]))
    except FileExistsError as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("output", type=_DIRECTORY)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9464,
    show_default=True,
    help="Port to listen on; 0: any free port.",
)
def exporter(output: Path, host: str, port: int) -> None:
    """Serve the progress of all runs below OUTPUT to Prometheus, until interrupted."""
    from threading import Event

    from trainer.prometheus_exporter import serve

    _, port = serve(output, host, port)
    click.echo(f"http://{host}:{port}/metrics", err=True)
    Event().wait()


if __name__ == "__main__":
    main()
