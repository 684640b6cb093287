"""A version on disk, and an engine that serves one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.in_flight import InFlight
from engine.protocol import Engine
from service.models.roles import ServedModel
from vqc.missions import ActiveInspections


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A verified version on disk. ``base`` is the base model of a LoRA adapter; ``release`` ends the lease on the files.

    ``inspections`` are those that it is served with; None: those of the process.
    """

    model: ServedModel
    directory: Path
    base: Path | None = None
    inspections: ActiveInspections | None = None
    release: Callable[[], None] = lambda: None


class Deployment:
    """An engine, the model that it serves, and the requests that are pinned to it (``in_flight``).

    ``checkpoint`` is None for an engine that the service did not start.
    """

    def __init__(self, engine: Engine, model: ServedModel, checkpoint: Checkpoint | None = None) -> None:
        self.engine = engine
        self.model = model
        self.checkpoint = checkpoint
        self.in_flight = InFlight()

    @property
    def inspections(self) -> ActiveInspections | None:
        """The inspections of its requests; None: those of the process."""
        return self.checkpoint.inspections if self.checkpoint else None

    def release_checkpoint(self) -> None:
        """Ends the lease on the checkpoint's files, if there is one."""
        if self.checkpoint:
            self.checkpoint.release()
