"""The command ``vqc-bench``. A subcommand's module is imported when it is used, so ``--help`` is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

import click
from typing_extensions import override

from loadtest.errors import BenchFailed
from registry.references import take_inspections
from vqc.errors import VqcError

_COMMANDS = {
    "gateway": ("loadtest.suites.gateway:gateway", "The cost of POST /caption without a model, by concurrency."),
    "caption": ("loadtest.load.cli:caption", "POST /caption at fixed rates."),
    "stage-a": ("loadtest.load.cli:stage_a", "POST /stage-a at fixed rates."),
    "stage-b": ("loadtest.load.cli:stage_b", "POST /stage-b/groups at fixed rates, to the verdicts."),
    "mixed": ("loadtest.load.cli:mixed_load", "The mix of requests of a scenario file."),
    "engine": ("loadtest.load.cli:engine", "A scenario's load sent directly to vLLM."),
    "pair": ("loadtest.suites.pair:pair", "Our service against the vLLM behind it, alternately."),
    "drafts": ("loadtest.suites.speculation:drafts", "Answers a second with and without drafts, alternately."),
    "dummy": ("loadtest.targets.dummy_checkpoint:dummy", "Write a Qwen3-VL checkpoint without weights."),
    "growth": ("loadtest.suites.growth:growth", "The CPU time of a request with ten times the load and storage."),
    "train": ("loadtest.suites.train:train", "The trainer's speed and peak memory, by variant."),
    "swap": ("loadtest.suites.swap:swap", "The effect of replacing a model under load."),
    "registry": ("loadtest.suites.registry:registry", "Push and pull of a model against cp and a checksum."),
    "photos": ("loadtest.suites.photos:photos", "Damaged photo files: each is read alike by all readers, or rejected."),
    "strangers": ("loadtest.suites.strangers:strangers", "What others notice while strangers misuse connections."),
    "fuzz": ("loadtest.suites.fuzz:fuzz", "Damaged photos and generated requests against the whole service."),
    "chaos": ("loadtest.suites.chaos:chaos", "Tickets while everything beneath them fails: each ends exactly once."),
    "console": ("loadtest.suites.console:console", "Pages of the review console as the queue grows."),
}
"""Each subcommand as ``module:name``, with its line in ``--help``."""


class _LazyGroup(click.Group):
    """Knows the subcommands of ``_COMMANDS`` without importing their modules."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_COMMANDS]

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        return getattr(import_module(module), name)

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vqc")
def bench() -> None:
    """Measure the cost and the speed of the product."""
    take_inspections()


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command. Exit code 1: errors or no measurement; 2: usage error; 130, 143: interrupted, terminated."""
    try:
        sys.exit(bench.main(args, prog_name="vqc-bench", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except VqcError as error:
        click.echo(f"vqc-bench: {error}", err=True)
        sys.exit(1 if isinstance(error, BenchFailed) else 2)
