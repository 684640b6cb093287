"""The levels of the suite stand apart: what two of them need is in tests/support, and no test file is a library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
LEVELS = {"unit", "contract", "integration", "e2e"}


def imported_modules(path: Path) -> Iterator[str]:
    """Every module, or member of a module, that a file of tests imports from tests."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith("tests."))


def test_levels_are_the_folders() -> None:
    folders = {path.name for path in TESTS.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders == LEVELS | {"support"}
    assert {path.name for path in TESTS.glob("*.py")} == {"__init__.py", "conftest.py"}


def test_no_test_file_is_imported() -> None:
    for path in TESTS.rglob("*.py"):
        for name in imported_modules(path):
            assert not any(part.startswith("test_") or part == "conftest" for part in name.split(".")), (path, name)


def test_a_level_imports_itself_and_support_alone() -> None:
    for path in TESTS.rglob("*.py"):
        level = path.relative_to(TESTS).parts[0]
        for name in imported_modules(path):
            assert name.split(".")[1] in {level, "support"}, (path, name)
