"""Loggers that write once per run: information from the first rank only, warnings from all ranks."""

from __future__ import annotations

import logging
import os


class _FirstRankOnly(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or is_first_rank()


def is_first_rank() -> bool:
    """Whether this process is the first of its run (as torchrun numbers them)."""
    return os.environ.get("RANK", "0") == "0"


def get_logger(name: str) -> logging.Logger:
    """The logger of a part of the trainer, such as ``trainer.health``."""
    logger = logging.getLogger(name)
    if not any(isinstance(item, _FirstRankOnly) for item in logger.filters):
        logger.addFilter(_FirstRankOnly())
    return logger


def configure(*, debug: bool) -> None:
    """Writes the trainer's log to standard error; with ``debug``, debug messages too."""
    root = logging.getLogger("trainer")
    if not root.handlers:
        handler = logging.StreamHandler()
        rank = os.environ.get("RANK")
        prefix = f"[rank {rank}] " if rank and rank != "0" else ""
        handler.setFormatter(logging.Formatter(f"%(asctime)s {prefix}%(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)


def without_loading_bars() -> None:
    """Disables transformers' progress bar for reading checkpoints."""
    from transformers.utils import logging as upstream

    upstream.disable_progress_bar()
