"""The command ``vqc``. Heavy modules are imported inside the functions that need them, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from registry.references import take_inspections
from service.cli.api import api
from service.cli.audit import audit
from service.cli.caption import caption
from service.cli.groups import groups
from service.cli.inspection import inspection
from service.cli.keys import keys
from service.cli.settings import settings
from service.cli.stage_a import stage_a
from service.cli.stage_b import stage_b
from service.cli.up import up
from service.cli.webhooks import webhooks
from service.cli.worker import worker
from vqc.errors import VqcError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vqc")
def vqc() -> None:
    """Visual quality control of installations.

    Settings are VQC_… environment variables; `vqc settings` lists them.
    """
    take_inspections()


for command in (up, api, worker, caption, stage_a, stage_b, groups, webhooks, inspection, keys, audit, settings):
    vqc.add_command(command)


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command. A ``VqcError`` is printed as one sentence; the exit code is then 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file name that is not text must not end a command
    try:
        sys.exit(vqc.main(args, standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except VqcError as error:
        click.echo(f"vqc: {error}", err=True)
        sys.exit(2)
