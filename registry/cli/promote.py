"""``promote`` and ``rollback``: which version is in force, by the gates of the policy file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from registry.cli.options import json_option, opened, print_json, registry_option

if TYPE_CHECKING:
    from registry.gates.policy import Policy, Rule
    from registry.gates.promote import Moved

GUIDANCE = "guidance/"
"""``guidance/MISSION`` stands for the alias of a mission's guidance."""

actor_option = click.option("--actor", metavar="NAME", help="Who the log names; else user@host.")
reason_option = click.option("--reason", default="", help="For the log and the promotion record.")
policy_option = click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    default=Path("configs/registry_policy.yaml"),
    show_default=True,
    help="What each alias demands.",
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    envvar="VQC_MODEL_CACHE",
    default=Path("output/models"),
    show_default=True,
    show_envvar=True,
    help="Where versions are materialised.",
)


@click.command()
@click.argument("version")
@click.option("--to", "alias", required=True, metavar="ALIAS", help="champion, …, or guidance/MISSION.")
@policy_option
@click.option("--check", is_flag=True, help="Only say what stands against it; exit code 1 if anything does.")
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
    """Point ALIAS at VERSION if it passes every gate of the policy file; otherwise say everything that is missing."""
    from registry.gates.errors import PromotionRefused
    from registry.gates.examine import examine
    from registry.gates.policy import read_policy
    from registry.gates.promote import promote as promoted

    policy, policy_digest = read_policy(policy_file)
    rule = _rule(policy, policy_file, alias)
    registry = opened(where)
    version, target = named(version), named(alias)
    try:
        if check:
            found = examine(registry, version, target, rule, cache)
            if found.findings:
                raise PromotionRefused(found.version, alias, found.findings)
            _say(as_json, {"version": found.version, "alias": target, "findings": []}, "nothing stands against it")
            return
        moved = promoted(registry, version, target, rule, policy=policy_digest, cache=cache, actor=actor, reason=reason)
    except PromotionRefused as refused:
        if as_json:
            findings = [{"gate": one.gate, "code": one.code, "message": one.message} for one in refused.findings]
            print_json({"version": refused.version, "alias": target, "findings": findings})
        raise
    _say_moved(as_json, alias, moved)


@click.command()
@click.argument("alias")
@click.option("--to", metavar="REF", help="An earlier version of the alias; else the one before.")
@actor_option
@reason_option
@registry_option
@json_option
def rollback(alias: str, to: str | None, actor: str | None, reason: str, where: str, as_json: bool) -> None:
    """Point ALIAS back at the version before. No gates but the contract's: the version had passed them.

    ALIAS may be guidance/MISSION.
    """
    from registry.gates.promote import rollback as rolled_back

    _say_moved(as_json, alias, rolled_back(opened(where), named(alias), to=to, actor=actor, reason=reason))


def named(ref: str) -> str:
    """The reference with ``guidance/MISSION`` made its alias.

    >>> named("champion")
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
        raise InvalidValue("to", alias, f"{file} has rules for: {', '.join(known)}")
    return rule


def _say_moved(as_json: bool, alias: str, moved: Moved) -> None:
    same = moved.previous == moved.version
    words = f"{moved.version} already" if same else f"{moved.previous or 'nothing'} -> {moved.version}"
    _say(as_json, asdict(moved), f"{alias}: {words}")


def _say(as_json: bool, document: dict[str, object], words: str) -> None:
    if as_json:
        print_json(document)
    else:
        click.echo(words)
