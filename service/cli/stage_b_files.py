"""Reads the input files of a training-free run: its tickets and their photos."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import click

from service.cli.file_names import find_photo, read_photo, readable_name
from service.learning.config import StageBConfig
from service.learning.labelled_tickets import IngestResult, LabelledTicket, ingest
from service.learning.ticket_pass import LoadPhotos
from service.photos.reader import PhotoReader
from vqc.errors import InvalidValue, PhotoRejected
from vqc.image import SUFFIXES, EncodedPhoto
from vqc.json_lines import records_in
from vqc.missions import Mission, load_missions, missions

_MAX_REJECTED_SHOWN = 10


def read_tickets(config: StageBConfig) -> IngestResult:
    """Reads the tickets of the configuration's files, and prints rejected lines to standard error.

    Raises:
        InvalidValue: a file cannot be read, or there is no usable ticket.
    """
    known = missions() | (load_missions(config.missions_path) if config.missions_path else {})
    read = ingest(_lines(config.stage_a_paths), known, config.mission)
    for one in read.rejected[:_MAX_REJECTED_SHOWN]:
        click.echo(f"rejected: {one.place}: {one.reason}", err=True)
    if (more := len(read.rejected) - _MAX_REJECTED_SHOWN) > 0:
        click.echo(f"rejected: {more} more lines", err=True)
    if not read.tickets:
        raise InvalidValue(
            "stage_a_paths", [str(one) for one in config.stage_a_paths], "must hold at least one usable ticket"
        )
    return read


def _lines(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        try:
            lines = [(number, line.decode()) for number, line in records_in(path.read_bytes())]
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValue("stage_a_paths", str(path), "must be a readable UTF-8 file of JSON lines") from error
        yield from ((f"{path}:{number}", line) for number, line in lines)


def by_mission(tickets: Sequence[LabelledTicket]) -> Iterator[tuple[Mission, list[LabelledTicket]]]:
    """The tickets of each mission, ordered by the name of the mission."""
    ordered = sorted(tickets, key=lambda one: one.mission.name)
    for _, same_mission in groupby(ordered, key=lambda one: one.mission.name):
        found = list(same_mission)
        yield found[0].mission, found


def photo_loader(config: StageBConfig, reader: PhotoReader) -> LoadPhotos:
    """Loads a ticket's photos from ``photos_root``, or from the folder of the file that names the ticket."""

    async def image(record: LabelledTicket, name: str) -> EncodedPhoto:
        root = config.photos_root or Path(record.place.rpartition(":")[0]).parent
        path = await asyncio.to_thread(find_photo, root, name, ("", *sorted(SUFFIXES)))
        if path is None:
            raise InvalidValue(
                "photos", str(root / name), f"must be a photo; {record.place} names it (see photos_root)"
            )
        try:
            return await reader(await asyncio.to_thread(read_photo, path))
        except PhotoRejected as error:
            raise PhotoRejected(error.reason, error.value, error.valid, field=readable_name(path)) from error

    async def load(record: LabelledTicket) -> tuple[EncodedPhoto, ...]:
        return tuple([await image(record, name) for name in record.photos])

    return load
