"""Reads YAML files into one merged mapping that knows the file and line of each key.

``extends`` names one base file or a list, relative to the extending file. Bases are merged from left to right, the file
itself last: mappings merge key by key, lists and scalars replace. ``null`` removes a base's value, so the key has its
default again. Numbers and booleans follow YAML 1.2: ``1e-4`` is a number, ``no`` is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from trainer.config.errors import ConfigError, ConfigProblem
from trainer.config.legacy import ALIASES, REFUSED, VALUE_ALIASES

KeyPath = tuple[str | int, ...]
_KEY_TAGS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")
Tree = dict[str, object]


@dataclass(frozen=True, slots=True)
class Source:
    """A merged mapping and, for each path in it, the ``file:line`` that set it last."""

    tree: Tree = field(default_factory=dict)
    origins: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """The ``file:line`` of a key, or of its nearest parent that a file contains."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return ""


def parse_yaml(text: str) -> object:
    """The value of a YAML 1.2 (or JSON) text, in which ``1e-4`` is a number.

    Raises:
        yaml.YAMLError: the text is neither.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def dotted_key(path: KeyPath) -> str:
    """The path as users write it.

    >>> dotted_key(("custom", "augmentation", "ops", 0, "name"))
    'custom.augmentation.ops[0].name'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_merged(path: Path, base: Path | None = None) -> Source:
    """The mapping of a file merged over everything it extends, and over ``base`` when there is one.

    Raises:
        ConfigError: a file that cannot be read or parsed, a cycle of ``extends``, a repeated key, a rejected key.
    """
    source = _with_bases(Path(path), ())
    return _over(_with_bases(Path(base), ()), source) if base is not None else source


def _with_bases(path: Path, chain: tuple[Path, ...]) -> Source:
    resolved = path.resolve()
    if resolved in chain:
        names = " -> ".join(str(p) for p in (*chain[chain.index(resolved) :], resolved))
        raise _error(str(path), "extends", f"files extend each other in a cycle: {names}")
    own = _read(path, extended_by=chain[-1] if chain else None)
    merged = Source(origins={(): str(path)})
    for name in _base_names(own, path):
        merged = _over(merged, _with_bases(path.parent / name, (*chain, resolved)))
    own.tree.pop("extends", None)
    return _over(merged, own)


def _base_names(source: Source, path: Path) -> list[str]:
    bases = source.tree.get("extends")
    names = [bases] if isinstance(bases, str) else bases if isinstance(bases, list) else [] if bases is None else None
    if names is None or not all(isinstance(name, str) and name for name in names):
        raise _error(
            source.where(("extends",)) or str(path), "extends", f"{bases!r} is not a file name or a list of them"
        )
    return names


def _over(base: Source, top: Source) -> Source:
    tree, origins = dict(base.tree), {**base.origins, (): top.origins.get((), base.origins.get((), ""))}
    _merge(tree, top.tree, (), origins, top.origins)
    return Source(tree=tree, origins=origins)


def _merge(into: Tree, top: Tree, path: KeyPath, origins: dict[KeyPath, str], top_origins: dict[KeyPath, str]) -> None:
    for key, value in top.items():
        here = (*path, key)
        below = into.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            into[key] = merged = dict(below)
            _merge(merged, value, here, origins, top_origins)
            continue
        # The key is replaced as a whole: what was written below it no longer applies, and must not be named in errors.
        for old in [old for old in origins if old[: len(here)] == here]:
            del origins[old]
        if value is None:
            into.pop(key, None)
            continue
        if isinstance(value, dict):
            into[key] = fresh = {}
            origins[here] = top_origins.get(here, "")
            _merge(fresh, value, here, origins, top_origins)
            continue
        into[key] = value
        origins.update({p: at for p, at in top_origins.items() if p[: len(here)] == here})


def _read(path: Path, extended_by: Path | None) -> Source:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        by = f", which {extended_by} extends," if extended_by else ""
        raise _error("", "", f"the configuration file {str(path)!r}{by} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _error(str(path), "", f"cannot be read: {error}") from error
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return Source(origins={(): str(path)})
        if not isinstance(node, yaml.MappingNode):
            raise _error(f"{path}:{node.start_mark.line + 1}", "", "a configuration file is a mapping of sections")
        origins: dict[KeyPath, str] = {(): str(path)}
        problems = list(_key_problems(node, (), path))
        if problems:
            raise ConfigError(problems)
        _locate(node, (), path, origins)
        return _with_schema_names(loader.construct_document(node), origins)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise _error(where, "", f"is not YAML: {getattr(error, 'problem', None) or error}") from error
    finally:
        loader.dispose()


def _locate(node: yaml.Node, path: KeyPath, file: Path, origins: dict[KeyPath, str]) -> None:
    """Fills ``origins`` with the line of every key and list item under a node."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, key.value)
            origins[here] = f"{file}:{key.start_mark.line + 1}"
            _locate(value, here, file, origins)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            origins[(*path, index)] = f"{file}:{value.start_mark.line + 1}"
            _locate(value, (*path, index), file, origins)


def _key_problems(
    node: yaml.Node, path: KeyPath, file: Path, above: tuple[yaml.Node, ...] = ()
) -> Iterator[ConfigProblem]:
    """Repeated keys, keys that are not text, and anchors that contain themselves."""
    if node in above:  # PyYAML would build the recursive value, and merging it would not end
        where = f"{file}:{node.start_mark.line + 1}"
        yield ConfigProblem(where=where, key=dotted_key(path), message="contains itself through an anchor")
        return
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _key_problems(value, (*path, index), file, (*above, node))
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        where, name = f"{file}:{key.start_mark.line + 1}", key.value
        if not isinstance(name, str) or key.tag not in _KEY_TAGS:
            yield ConfigProblem(where=where, key=dotted_key(path), message=f"{name!r} is not a key; keys are text")
            continue
        here = (*path, name)
        if name in seen:
            yield ConfigProblem(
                where=where, key=dotted_key(here), message=f"is repeated; its first line is {seen[name]}"
            )
        seen[name] = key.start_mark.line + 1
        yield from _key_problems(value, here, file, (*above, node))


def _with_schema_names(tree: Tree, origins: dict[KeyPath, str]) -> Source:
    """The file's own mapping under the schema's names.

    Raises:
        ConfigError: a rejected key, or an old and a new name of one key with different values.
    """
    problems: list[ConfigProblem] = []
    for name, reason in REFUSED.items():
        path = tuple(name.split("."))
        found, value = _get(tree, path)
        if found and value is not None:
            problems.append(
                ConfigProblem(where=_near(origins, path), key=name, message=f"is not used by this trainer: {reason}")
            )
    for old, new in ALIASES.items():
        old_path, new_path = tuple(old.split(".")), tuple(new.split("."))
        found, value = _get(tree, old_path)
        if not found:
            continue
        taken, other = _get(tree, new_path)
        if taken and other != value:
            message = f"{value!r} contradicts {new}: {other!r}; {old} is another name of {new}; keep one"
            problems.append(ConfigProblem(where=_near(origins, old_path), key=old, message=message))
            continue
        _remove(tree, old_path)
        _put(tree, new_path, value)
        for path in [p for p in origins if p[: len(old_path)] == old_path]:
            origins[(*new_path, *path[len(old_path) :])] = origins[path]
    for (name, alias), value in VALUE_ALIASES.items():
        path = tuple(name.split("."))
        found, current = _get(tree, path)
        if found and current == alias and type(current) is type(alias):
            _put(tree, path, value)
    if problems:
        raise ConfigError(problems)
    return Source(tree=tree, origins=origins)


def _near(origins: dict[KeyPath, str], path: KeyPath) -> str:
    return Source(origins=origins).where(path)


def _get(tree: Tree, path: tuple[str, ...]) -> tuple[bool, object]:
    node: object = tree
    for part in path:
        if not isinstance(node, dict) or part not in node:
            return False, None
        node = node[part]
    return True, node


def _put(tree: Tree, path: tuple[str, ...], value: object) -> None:
    for part in path[:-1]:
        below = tree.get(part)
        if not isinstance(below, dict):
            tree[part] = below = {}
        tree = below
    tree[path[-1]] = value


def _remove(tree: Tree, path: tuple[str, ...]) -> None:
    for part in path[:-1]:
        below = tree[part]
        assert isinstance(below, dict)
        tree = below
    del tree[path[-1]]


def _error(where: str, key: str, message: str) -> ConfigError:
    return ConfigError([ConfigProblem(where=where, key=key, message=message)])


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - the parent's protocol


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"^(?:{_pattern})$"),
        [*_first.replace("\0", ""), ""] if _tag == "null" else list(_first),
    )


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
