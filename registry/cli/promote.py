"""``promote`` and ``rollback``: which version is active, decided by the gates of the policy file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.options import json_option, print_json, registry_at, registry_option

if TYPE_CHECKING:
    from registry.gates.policy import Policy, Rule
    from registry.gates.promote import AliasMove

GUIDANCE = "guidance/"
"""The prefix of ``guidance/MISSION``, which identifies a mission's guidance alias on the command line."""

actor_option = click.option("--actor", metavar="NAME", help="Recorded in the log. [default: user@host]")
reason_option = click.option("--reason", default="", help="Recorded in the log and the promotion record.")
policy_option = click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    default=Path("configs/registry_policy.yaml"),
    show_default=True,
    help="Rules of each alias.",
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    envvar="VQC_MODEL_CACHE",
    default=Path("output/models"),
    show_default=True,
    show_envvar=True,
    help="Directory for materialised versions.",
)


@click.command()
@click.argument("version")
@click.option("--to", "alias", required=True, metavar="ALIAS", help="Alias: champion, …, or guidance/MISSION.")
@policy_option
@click.option("--check", is_flag=True, help="Only list the failed gates; exit code 1 if there are any.")
@actor_option
@reason_option
@cache_option
@registry_option
@json_option
def promote(
    version: str,
    alias: str,
    policy_file: Path,
    check: bool,
    actor: str | None,
    reason: str,
    cache: Path,
    where: str,
    as_json: bool,
) -> None:
    """Point ALIAS at VERSION if it passes every gate of the policy file; otherwise list every failure."""
    from registry.gates.errors import PromotionRefused
    from registry.gates.examine import examine
    from registry.gates.policy import read_policy
    from registry.gates.promote import promote as promoted

    policy, policy_digest = read_policy(policy_file)
    rule = _rule(policy, policy_file, alias)
    registry = registry_at(where)
    version, target = registry_ref(version), registry_ref(alias)
    try:
        if check:
            found = examine(registry, version, target, rule, cache)
            if found.findings:
                raise PromotionRefused(found.version, alias, found.findings)
            _print(as_json, {"version": found.version, "alias": target, "findings": []}, "all gates passed")
            return
        moved = promoted(registry, version, target, rule, policy=policy_digest, cache=cache, actor=actor, reason=reason)
    except PromotionRefused as refused:
        if as_json:
            findings = [{"gate": one.gate, "code": one.code, "message": one.message} for one in refused.findings]
            print_json({"version": refused.version, "alias": target, "findings": findings})
        raise
    _print_move(as_json, alias, moved)


@click.command()
@click.argument("alias")
@click.option("--to", metavar="REF", help="An earlier version of the alias. [default: the previous one]")
@actor_option
@reason_option
@registry_option
@json_option
def rollback(alias: str, to: str | None, actor: str | None, reason: str, where: str, as_json: bool) -> None:
    """Point ALIAS back at its previous version. Only the contract gate runs: the version passed the others before.

    ALIAS may be guidance/MISSION.
    """
    from registry.gates.promote import rollback as rolled_back

    _print_move(as_json, alias, rolled_back(registry_at(where), registry_ref(alias), to=to, actor=actor, reason=reason))


def registry_ref(ref: str) -> str:
    """The reference with ``guidance/MISSION`` replaced by its alias.

    >>> registry_ref("champion")
    'champion'
    """
    if not ref.startswith(GUIDANCE):
        return ref
    from registry.guidance import guidance_alias

    return guidance_alias(ref.removeprefix(GUIDANCE))


def _rule(policy: Policy, file: Path, alias: str) -> Rule:
    from vqc.errors import InvalidValue

    rule = policy.guidance if alias.startswith(GUIDANCE) else policy.models.get(alias)
    if rule is None:
        known = [*policy.models, *(["guidance/MISSION"] if policy.guidance else [])]
        raise InvalidValue("to", alias, f"{file} has rules only for: {', '.join(known)}")
    return rule


def _print_move(as_json: bool, alias: str, moved: AliasMove) -> None:
    same = moved.previous == moved.version
    text = f"{moved.version} already" if same else f"{moved.previous or 'nothing'} -> {moved.version}"
    _print(as_json, asdict(moved), f"{alias}: {text}")


def _print(as_json: bool, document: dict[str, object], text: str) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(text)
