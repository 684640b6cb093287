"""A progress bar for work in several steps."""

from __future__ import annotations

from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from service.cli.session import console


class StepBar:
    """Shows the current step. A context manager; it returns the function to report (title, done, total)."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task: tuple[str, TaskID] | None = None

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._progress.start()
        return self._report

    def __exit__(self, *ignored: object) -> None:
        self._progress.stop()

    def _report(self, title: str, done: int, total: int) -> None:
        if self._task is None or self._task[0] != title:
            if self._task:
                self._progress.remove_task(self._task[1])
            self._task = title, self._progress.add_task(title, total=total)
        self._progress.update(self._task[1], completed=done, total=total)
