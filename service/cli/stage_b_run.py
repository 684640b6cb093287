"""Runs the training-free loop: from a configuration to a folder of artifacts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import structlog

from service.app.context import Context
from service.cli.session import console, run_with_engine
from service.cli.stage_b_files import by_mission, photo_loader, read_tickets
from service.cli.stage_b_progress import StepBar
from service.guidance.guidance import Guidance, first_version
from service.guidance.store import GuidanceStore
from service.judging.judge_ticket import JudgeTicket
from service.learning.config import StageBConfig, load_config
from service.learning.improve import Improve
from service.learning.labelled_tickets import IngestResult
from service.learning.loop import TrainingFreeLoop
from service.learning.metrics import headline
from service.learning.reflect import Reflect
from service.learning.report import render_report
from service.learning.run_folder import RunFolder
from service.learning.run_metrics import mission_metrics
from service.learning.ticket_pass import TicketPass
from service.photos.reader import PhotoReader
from service.platform.files import write_json, write_text
from service.platform.settings import Settings, read_settings
from vqc.contract import contract_digests, digest
from vqc.errors import InvalidValue
from vqc.image import PhotoLimits
from vqc.missions import Mission

_log = structlog.get_logger("vqc.stage_b")
_NOT_IDENTITY: dict[str, Any] = {
    "output": True,
    "model": True,
    "guidance": True,
    "runner": {"concurrency", "timeout_s", "patience_s"},
}
"""The keys of a configuration that may change when a run is resumed."""


def run_loop(path: Path, output: Path | None, *, fresh: bool, log_level: str, overrides: Mapping[str, object]) -> None:
    """Starts or resumes the run of the configuration.

    Raises:
        VqcError: the run failed; the same command resumes it.
    """
    config = load_config(path, output)
    settings = _settings(config, overrides)
    read = read_tickets(config)
    folder = config.output.folder
    if fresh and folder.exists():
        shutil.rmtree(folder)
    if (folder / "report.html").exists():
        click.echo(f"already complete: {folder / 'report.html'} (--fresh starts over)")
        return
    run_with_engine(settings, lambda context: _run(context, settings, config, read), log_level=log_level)
    click.echo(f"report: {folder / 'report.html'}")


def first_guidance(config: StageBConfig, mission: Mission) -> Guidance:
    """The guidance that the run starts from: the active one of ``guidance.path``, or the mission's own focus."""
    return (
        GuidanceStore(config.guidance.path).active_version(mission) if config.guidance.path else first_version(mission)
    )


def clock_of(engine: str) -> Callable[[], datetime]:
    """The clock for the times of answers. ``SOURCE_DATE_EPOCH`` (seconds) stops it; with the scripted engine it always
    shows 0, so that the same run gives the same bytes.
    """
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "0" if engine == "scripted" else "")
    if not fixed:
        return lambda: datetime.now(UTC)
    try:
        moment = datetime.fromtimestamp(int(fixed), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidValue("SOURCE_DATE_EPOCH", fixed, "must be whole seconds since 1970") from error
    return lambda: moment


async def _run(context: Context, settings: Settings, config: StageBConfig, read: IngestResult) -> None:
    _log.debug("stage_b_run", config=config.model_dump(mode="json"), folder=str(config.output.folder))
    reader = PhotoReader(
        PhotoLimits(max_bytes=settings.max_photo_bytes, max_pixels=settings.max_photo_pixels), settings.photo_threads
    )
    clock = clock_of(settings.engine)
    async with context.models.router.pin("stage-b-run") as pinned:
        starts = {mission.name: first_guidance(config, mission) for mission, _ in by_mission(read.tickets)}
        identity = {
            "config": config.model_dump(mode="json", exclude=_NOT_IDENTITY),
            "guidance": {name: one.digest for name, one in starts.items()},
            "tickets": digest(
                [[*one.key, one.summaries, one.photos, one.label, one.true_label] for one in read.tickets]
            ),
            "model": pinned.model.digest,
            "sampler": config.sampler_of().digest,
            "contract": contract_digests(),
        }
        folder = RunFolder(config.output.folder, identity, retention=config.guidance.retention, clock=clock)
        with folder, StepBar() as report_progress:
            judge_all = TicketPass(
                JudgeTicket(pinned.engine, clock=clock),
                config.sampler_of(),
                journal=folder.journal,
                load_photos=photo_loader(config, reader),
                concurrency=config.runner.concurrency,
                timeout_s=config.runner.timeout_s,
                patience_s=config.runner.patience_s,
            )
            reflect = Reflect(pinned.engine, config.reflection.decoding, timeout_s=config.runner.timeout_s)
            rule = config.rule_of()
            improve = Improve(reflect, judge_all, rule=rule, seed=config.seed, run=folder)
            loop = TrainingFreeLoop(
                judge_all,
                improve if config.reflection.enabled else None,
                plan=config.plan_of(),
                run=folder,
                progress=report_progress,
            )
            write_json(
                folder.path / "ingest.json",
                {
                    "tickets": len(read.tickets),
                    "rejected": [{"place": one.place, "reason": one.reason} for one in read.rejected],
                },
            )
            for mission, tickets in by_mission(read.tickets):
                first = starts[mission.name]
                folder.reset_guidance(mission, first)
                epochs, last = await loop(mission, tickets, first)
                measured = mission_metrics(mission, epochs, first, last, model=pinned.model.digest)
                folder.write_metrics(mission, measured)
                console.print(f"{mission.name}: {headline(measured['epochs'][-1])}", highlight=False, soft_wrap=True)
            write_text(folder.path / "report.html", render_report(folder.path))
            folder.delete_journal()
    reader.close()


def _settings(config: StageBConfig, overrides: Mapping[str, object]) -> Settings:
    """The settings, with the configuration's model if neither an option nor the environment names one."""
    named = overrides.get("model") or overrides.get("engine_url") or {"VQC_MODEL", "VQC_ENGINE_URL"} & os.environ.keys()
    model = None if named else config.model.model_name_or_path
    return read_settings(**{**overrides, **({"model": model} if model else {})})
