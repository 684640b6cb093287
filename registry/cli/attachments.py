"""``attach``, ``sign`` and ``smoke-serve``: what the gates check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from registry.cli.options import bars, json_option, print_json, registry_at, registry_option
from registry.cli.promote import cache_option, registry_ref


@click.command()
@click.argument("version")
@click.option(
    "--type", "kind", required=True, metavar="NAME", help="The kind of report, as in the policy file: evaluation."
)
@click.argument("report", type=click.Path(path_type=Path))
@registry_option
@json_option
def attach(version: str, kind: str, report: Path, where: str, as_json: bool) -> None:
    """Attach REPORT (a JSON object, as written by `vqc-train evaluate`) to VERSION; the newest of a kind counts.

    VERSION may be guidance/MISSION.
    """
    from registry.gates.reports import attach_report, read_report

    content = read_report(report)
    registry = registry_at(where)
    digest = registry.resolve(registry_ref(version))
    attached = attach_report(registry, digest, kind, content)
    if as_json:
        print_json({"version": digest, "report": attached})
    else:
        click.echo(attached)


@click.command()
@click.argument("version")
@click.option(
    "--key", required=True, type=click.Path(path_type=Path), help="Private key: elliptic curve, PEM (openssl ecparam)."
)
@click.option(
    "--password", envvar="SIGNING_KEY_PASSWORD", help="Password of an encrypted key; better set the variable."
)
@cache_option
@registry_option
@json_option
def sign(version: str, key: Path, password: str | None, cache: Path, where: str, as_json: bool) -> None:
    """Sign every file of VERSION (OpenSSF model-signing) and attach the signature."""
    from registry.gates.signature import sign as signed

    registry = registry_at(where)
    digest = registry.resolve(version)
    with registry.lease(digest, holder="sign"), bars() as progress:
        directory = registry.materialise(digest, cache, progress)
        signature = signed(registry, digest, directory, key, password)
    if as_json:
        print_json({"version": digest, "signature": signature})
    else:
        click.echo(signature)


@click.command("smoke-serve")
@click.argument("version")
@click.option(
    "--photos",
    type=click.Path(path_type=Path),
    default=Path("deploy/demo/photos"),
    show_default=True,
    help="Directory of golden photos.",
)
@click.option("--mission", metavar="NAME", help="Mission of the Stage-A lines. [default: the first one]")
@click.option("--profile", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", show_default=True)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "auto"]),
    help="auto: the checkpoint's own, as in production (default on a GPU); float32: no rounding (default on a CPU).",
)
@click.option("--max-new-tokens", type=click.IntRange(1), default=256, show_default=True, help="Limit per answer.")
@click.option("--log", type=click.Path(path_type=Path), default=Path("output/smoke-serve.log"), show_default=True)
@cache_option
@registry_option
@json_option
def smoke_serve(
    version: str,
    photos: Path,
    mission: str | None,
    profile: Literal["auto", "cpu", "gpu"],
    dtype: Literal["float32", "auto"] | None,
    max_new_tokens: int,
    log: Path,
    cache: Path,
    where: str,
    as_json: bool,
) -> None:
    """Serve VERSION, send it the golden photos, compare its answers with transformers and attach the report.

    It is asked under the inspections that it brings.

    Exit code 1: the two disagree, or an answer under the grammar cannot be parsed. The report is attached in either case.
    """
    import structlog

    from registry.gates.golden import golden_questions
    from registry.gates.smoke import SmokeSettings, smoke_serve_version
    from registry.inspections import inspections_with
    from vqc.missions import active, mission_named, using

    registry = registry_at(where)
    with using(inspections_with(registry, registry.resolve(version), active())):
        questions = golden_questions(photos, mission_named(mission) if mission else None)
    settings = SmokeSettings(profile=profile, dtype=dtype, max_new_tokens=max_new_tokens)
    log.parent.mkdir(parents=True, exist_ok=True)
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))  # standard output is for the report
    attached, report = smoke_serve_version(
        registry, version, questions, settings, cache=cache, log=log, on_step=lambda words: click.echo(words, err=True)
    )
    if as_json:
        print_json({"report": attached, **report})
    else:
        click.echo(
            f"{report['equal']} of {report['num_answers']} answers equal, {report['disagreeing']} disagree, "
            f"{report['unreadable']} unreadable; largest gap {report['worst_gap_nats']:.3g} nats"
        )
        click.echo(attached)
    if report["disagreeing"] or report["unreadable"]:
        sys.exit(1)
