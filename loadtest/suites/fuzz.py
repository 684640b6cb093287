"""``vqc-bench fuzz``: damaged photos and generated requests against the whole service on a real engine."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from time import perf_counter

import click

from loadtest.errors import BenchFailed
from loadtest.http.connection import ConnectionLost, Pool
from loadtest.http.requests import Target, file_part, form_field
from loadtest.loop import run
from loadtest.photo_mutations import mutations, whole_photos
from loadtest.report import as_json, table
from loadtest.targets.service import our_service
from vqc.missions import missions

_SENDERS = 4
_TIMEOUT_S = 120.0
_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
_RESTARTS = re.compile(rb"^vqc_engine_restarts(?:\{[^}]*\})? (\S+)", re.M)


@dataclass(frozen=True, slots=True, kw_only=True)
class FuzzReport:
    """Photos by the status of their answer, ``lost`` without one; ``findings`` are schemathesis' own words, if it found any."""

    seconds: float
    photos: dict[str, int]
    restarts: int
    findings: str | None

    @property
    def is_failure(self) -> bool:
        """Whether anything was a server error, was not answered, restarted the engine or broke the API's own document."""
        unanswered = any(status == "lost" or status >= "500" for status in self.photos)
        return unanswered or bool(self.restarts) or self.findings is not None


@click.command()
@click.option("--seconds", type=click.FloatRange(1, 86_400), default=600.0, show_default=True, help="How long.")
@click.option(
    "--model", type=click.Path(exists=True, file_okay=False, resolve_path=True), help="Default: scripted engine."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed damages the same bytes.")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of one row.")
def fuzz(seconds: float, model: str | None, seed: int, as_document: bool) -> None:
    """Send damaged photos and generated requests to the whole service: API, worker, Redis and engine.

    Photos of every format go to POST /caption, /stage-a and /stage-b/groups; schemathesis calls the operations of the
    API's own document meanwhile, except those that replace models. The exit code is 1 if an answer is a 5xx or missing,
    or if the engine restarts.
    """
    report = run(measure(seconds, model, seed))
    if as_document:
        click.echo(as_json([report]))
    else:
        from rich.console import Console

        shown = table(["answer", "photos"], left=["answer"])
        for status, count in sorted(report.photos.items()):
            shown.add_row(status, f"{count:,}")
        Console().print(shown)
        click.echo(f"engine restarts: {report.restarts}")
        click.echo(report.findings or "schemathesis: no findings")
    if report.is_failure:
        raise BenchFailed("the service failed on what a stranger can send")


async def measure(seconds: float, model: str | None, seed: int) -> FuzzReport:
    """What the service did with both for ``seconds``.

    Raises:
        BenchFailed: the service does not start, or ends.
    """
    engine = {"VQC_ENGINE": "managed", "VQC_MODEL": model} if model else {}
    async with our_service(engine, tickets=True) as server:
        until = perf_counter() + seconds
        photos, findings = await asyncio.gather(
            _send_photos(server.target, until, seed), _call_operations(server.target, seconds, seed)
        )
        server.check_alive()
        return FuzzReport(
            seconds=seconds, photos=dict(photos), restarts=await _restarts(server.target), findings=findings
        )


async def _send_photos(target: Target, until: float, seed: int) -> Counter[str]:
    answers: Counter[str] = Counter()
    damaged, pool = enumerate(mutations(whole_photos(), seed)), Pool(target)

    async def send() -> None:
        while perf_counter() < until:
            n, (_, data) = next(damaged)
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    answers[str((await pool.exchange(_request(target, n, data))).status)] += 1
            except (OSError, ConnectionLost, TimeoutError):
                answers["lost"] += 1

    try:
        await asyncio.gather(*(send() for _ in range(_SENDERS)))
    finally:
        pool.close()
    return answers


def _request(target: Target, n: int, photo: bytes) -> bytes:
    """The ``n``-th photo, to each endpoint in turn."""
    mission = form_field("mission", next(iter(missions())))
    if n % 3 == 0:
        return target.post_multipart("/caption", [file_part("photo", "photo.jpg", photo)])
    path = "/stage-a" if n % 3 == 1 else "/stage-b/groups"
    return target.post_multipart(path, [mission, file_part("photos", "photo.jpg", photo)])


async def _call_operations(target: Target, seconds: float, seed: int) -> str | None:
    """Schemathesis over the service's own document; what it found."""
    options = {
        "--max-time": f"{seconds:g}",
        "--seed": str(seed),
        "--checks": _CHECKS,
        "--suppress-health-check": "all",
        "--exclude-path-regex": "^/models/",  # an operator's: `vqc-bench swap` measures replacing a model
    }
    command = [sys.executable, "-m", "schemathesis.cli", "--no-color", "fuzz", "--continue-on-failure"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *chain.from_iterable(options.items()),
        f"http://{target.host}:{target.port}/openapi.json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    return None if process.returncode == 0 else output.decode("utf-8", "replace")


async def _restarts(target: Target) -> int:
    pool = Pool(target)
    try:
        found = _RESTARTS.search(bytes((await pool.exchange(target.head("GET", "/metrics"))).body))
    finally:
        pool.close()
    return int(float(found[1])) if found else 0
