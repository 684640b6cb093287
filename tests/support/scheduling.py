"""Which worker of pytest-xdist runs what, in which order, and what needs torch."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

ENGINE = "tests/e2e"
"""The folder whose files share one engine; those of the folders in it do not use it."""
_TORCH = (
    "tests/contract/test_distillation_laws.py",
    "tests/contract/test_liger_laws.py",
    "tests/contract/test_trainer_laws.py",
    "tests/contract/test_trainer_sharding.py",
    "tests/unit/loadtest/targets/test_dummy_checkpoint.py",
    "tests/unit/registry/gates/test_reference.py",
    "tests/unit/registry/gates/test_smoke.py",
    "tests/unit/trainer/evaluation/",
    "tests/unit/trainer/model/",
    "tests/unit/trainer/objectives/",
    "tests/unit/trainer/test_tiny_checkpoint.py",
    "tests/unit/trainer/training/",
)
_LEVELS = (ENGINE, "tests/integration", "tests/contract", "tests/unit")


def scope_of(nodeid: str) -> str:
    """What is given to one worker as a whole.

    >>> scope_of("tests/e2e/test_api_real.py::test_it[a::b]")
    'tests/e2e'
    >>> scope_of("tests/e2e/console/test_try.py::test_it")
    'tests/e2e/console/test_try.py'
    """
    file = nodeid.split("::", 1)[0]
    return ENGINE if file.rpartition("/")[0] == ENGINE else file


def level_of(nodeid: str) -> int:
    """Its place in the order of levels: what takes long begins first, so that no worker is left with it at the end.

    >>> level_of("tests/e2e/test_api_real.py::test_it") < level_of("tests/unit/test_it.py::test_it") < level_of("vqc/words.py")
    True
    """
    return next((place for place, level in enumerate(_LEVELS) if nodeid.startswith(f"{level}/")), len(_LEVELS))


def runs_torch(file: str) -> bool:
    """Whether a file trains models, or runs them, in the test's own process. ``make test-fast`` leaves it out.

    >>> runs_torch("tests/unit/trainer/model/test_loss.py"), runs_torch("tests/unit/vqc/test_errors.py")
    (True, False)
    """
    return file.startswith(_TORCH)


class WholeFiles(LoadScopeScheduling):
    """Gives a worker that has nothing left the next scope, in the order of collection."""

    def __init__(self, config: Any, log: Any = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)
