"""The command ``vqc-registry``. Slow imports happen inside functions, so that ``--help`` is instant."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from registry.cli.aliases import log, move
from registry.cli.attachments import attach, sign, smoke_serve
from registry.cli.guidance import guidance
from registry.cli.promote import promote, rollback
from registry.cli.transfer import gc, pull, push
from registry.cli.versions import list_versions, show, verify
from registry.references import take_inspections
from vqc.errors import InvalidValue, VqcError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vqc")
def registry() -> None:
    """Store model versions, and choose the active one.

    VQC_REGISTRY names the registry: a directory, or oci://host/repository. REF is an alias, a digest or a digest prefix.
    """
    take_inspections()


for command in (
    *(push, pull, list_versions, show, verify, move, log, gc),
    *(attach, smoke_serve, sign, promote, rollback, guidance),
):
    registry.add_command(command)


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command. Exit code 1: the operation failed; 2: usage error; 130: interrupted."""
    try:
        sys.exit(registry.main(args, prog_name="vqc-registry", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except VqcError as error:
        click.echo(f"vqc-registry: {error}", err=True)
        sys.exit(2 if isinstance(error, InvalidValue) else 1)
    except OSError as error:
        click.echo(f"vqc-registry: {error}", err=True)
        sys.exit(1)
