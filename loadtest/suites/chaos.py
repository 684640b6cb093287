"""``vqc-bench chaos``: tickets are submitted while everything beneath them fails at random; each must end exactly once."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import perf_counter

import click
import httpx
from PIL import Image

from loadtest.chaos.faults import FAULTS, heal
from loadtest.chaos.stack import Stack, running_stack
from loadtest.errors import BenchFailed
from loadtest.loop import run
from loadtest.report import as_json, cell, table

_SUBMITTERS = 8
_TIMEOUT_S = 8.0
_LINE = "BBU设备/华为,显示完整,机柜空间充足需要安装×1，挡风板/华为,显示完整,安装方向正确×1"
_PICTURED = 5
"""One ticket of so many has a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosRow:
    """One run. All of the last five must be 0.

    ``unfinished`` are accepted tickets without a final record, ``ended_twice`` those with more than one; ``doubled`` keys have
    two tickets. ``contradicted`` webhooks say something else than the record, or than each other; ``unsent`` never came.
    """

    seed: int
    tickets: int
    accepted: int
    decided: int
    to_review: int
    failed: int
    faults: int
    restarts: int
    rejected: int
    seconds: float
    recovered_s: float
    unfinished: int
    ended_twice: int
    doubled: int
    contradicted: int
    unsent: int
    by_fault: dict[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether every accepted ticket ended exactly once, and every webhook said so."""
        wrong = self.unfinished + self.ended_twice + self.doubled + self.contradicted + self.unsent
        return not wrong and self.accepted == self.tickets


@click.command()
@click.option(
    "--seed", "seeds", type=int, multiple=True, default=(1,), show_default=True, help="One run for each seed."
)
@click.option("--tickets", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 16), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--seconds",
    type=click.FloatRange(1, 3600),
    default=120.0,
    show_default=True,
    help="Time over which they are submitted.",
)
@click.option(
    "--pause", type=click.FloatRange(0.01, 60), default=1.5, show_default=True, help="Mean time between faults."
)
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document: a list of rows.")
def chaos(seeds: tuple[int, ...], tickets: int, workers: int, seconds: float, pause: float, as_document: bool) -> None:
    """Submit tickets while processes are killed, Redis refuses, disks are full, the queue is lost and clocks jump.

    The exit code is 1 unless every accepted ticket has exactly one final record that no webhook contradicts. The clock of
    Redis is set where Debian's libfaketime is installed.
    """
    from rich.console import Console

    with Console(stderr=True).status("starting") as status:
        rows = [run(measure(seed, tickets, workers, seconds, pause, status.update)) for seed in seeds]
    if as_document:
        click.echo(as_json(rows))
    else:
        shown = [name for name in ChaosRow.__dataclass_fields__ if name != "by_fault"]
        printed = table([name.replace("_", " ") for name in shown])
        for row in rows:
            printed.add_row(*(cell(getattr(row, name), ",.0f") for name in shown))
        Console(width=240).print(printed)
    if bad := [row.seed for row in rows if not row.is_sound]:
        raise BenchFailed(f"not every ticket ended exactly once with the seeds {bad}")


async def measure(
    seed: int,
    tickets: int,
    workers: int,
    seconds: float,
    pause: float,
    progress: Callable[[str], None] = lambda _: None,
) -> ChaosRow:
    """The row of one seed. Raises ``BenchFailed`` if the stack does not start."""
    with tempfile.TemporaryDirectory(prefix="vqc-chaos-", dir="/tmp") as folder:
        async with running_stack(Path(folder), workers) as stack, httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            await _wait_ready(stack, client)
            return await _Run(stack, client, seed, tickets, seconds, pause, progress)()


class _Run:
    """One run over a stack."""

    def __init__(
        self,
        stack: Stack,
        client: httpx.AsyncClient,
        seed: int,
        tickets: int,
        seconds: float,
        pause: float,
        progress: Callable[[str], None],
    ) -> None:
        self._stack = stack
        self._client = client
        self._seed = seed
        self._tickets = tickets
        self._seconds = seconds
        self._pause = pause
        self._progress = progress
        self._accepted: dict[int, set[str]] = defaultdict(set)
        self._faults: Counter[str] = Counter()
        self._rejected = 0

    async def __call__(self) -> ChaosRow:
        """Submits under faults, heals, waits for the ends, and compares."""
        began = perf_counter()
        spoiling = asyncio.ensure_future(self._spoil())
        numbers = iter(range(self._tickets))
        await asyncio.gather(*(self._submit_all(numbers, began) for _ in range(_SUBMITTERS)))
        spoiling.cancel()
        await asyncio.gather(spoiling, return_exceptions=True)
        await heal(self._stack)
        healed = perf_counter()
        records = await self._wait_for_ends()
        recovered_s = perf_counter() - healed
        return await self._compare(records, round(perf_counter() - began, 1), round(recovered_s, 1))

    async def _spoil(self) -> None:
        draw = random.Random(self._seed)
        names = [name for name in FAULTS if self._stack.has_clock or "clock" not in name]
        going: set[asyncio.Future[None]] = set()
        try:
            while True:
                await asyncio.sleep(draw.expovariate(1 / self._pause))
                name = draw.choice(names)
                self._faults[name] += 1
                fault = asyncio.ensure_future(FAULTS[name](self._stack, random.Random(draw.random())))
                going.add(fault)
                fault.add_done_callback(going.discard)
                self._progress(f"seed {self._seed}: {len(self._accepted)} of {self._tickets} accepted; {name}")
        finally:
            for fault in [*going]:
                fault.cancel()
            await asyncio.gather(*going, return_exceptions=True)

    async def _submit_all(self, numbers: object, began: float) -> None:
        for n in numbers:  # type: ignore[attr-defined]
            await asyncio.sleep(max(0.0, began + n * self._seconds / self._tickets - perf_counter()))
            await self._submit(n)

    async def _submit(self, n: int) -> None:
        """Submits until it is accepted, each time with the same key, as a client must."""
        body, files = _ticket(n, self._seed)
        while True:
            try:
                reply = await self._client.post(
                    f"{self._stack.url}/stage-b/groups",
                    **({"data": body, "files": files} if files else {"json": body}),  # type: ignore[arg-type]
                    headers={"Idempotency-Key": f"chaos-{n}"},
                )
            except httpx.HTTPError:
                self._rejected += 1
            else:
                if reply.status_code == 202:
                    self._accepted[n].add(reply.json()["id"])
                    if n % 3 or len(self._accepted[n]) > 1:
                        return
                    # Every third client loses its answer and asks again.
                    self._accepted[n].add(await self._ask_again(body, files, n))
                    return
                if reply.status_code not in (429, 503):
                    raise BenchFailed(f"a ticket was answered with {reply.status_code}: {reply.text[:300]}")
                self._rejected += 1
            await asyncio.sleep(0.3)

    async def _ask_again(self, body: dict[str, object], files: object, n: int) -> str:
        while True:
            try:
                reply = await self._client.post(
                    f"{self._stack.url}/stage-b/groups",
                    **({"data": body, "files": files} if files else {"json": body}),  # type: ignore[arg-type]
                    headers={"Idempotency-Key": f"chaos-{n}"},
                )
                if reply.status_code == 202:
                    return str(reply.json()["id"])
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.3)

    async def _wait_for_ends(self) -> dict[str, dict[str, object]]:
        """The final records by id; after four minutes, those that there are."""
        waiting = {id for ids in self._accepted.values() for id in ids}
        records: dict[str, dict[str, object]] = {}
        until = perf_counter() + 240
        while waiting and perf_counter() < until:
            for id in sorted(waiting):
                record = await self._get(f"/stage-b/groups/{id}")
                if record and record.get("finished_at"):
                    records[id] = record
                    waiting.discard(id)
            self._progress(f"seed {self._seed}: {len(waiting)} not final")
            await asyncio.sleep(1.0)
        return records

    async def _get(self, path: str) -> dict[str, object] | None:
        try:
            reply = await self._client.get(f"{self._stack.url}{path}")
        except httpx.HTTPError:
            return None
        return reply.json() if reply.status_code == 200 else None

    async def _compare(self, records: dict[str, dict[str, object]], seconds: float, recovered_s: float) -> ChaosRow:
        ids = {id for group in self._accepted.values() for id in group}
        ends = {id: await self._ends(id) for id in records}
        sent, contradicted = await self._wait_for_webhooks(records)
        states = Counter(str(record["state"]) for record in records.values())
        return ChaosRow(
            seed=self._seed,
            tickets=self._tickets,
            accepted=len(self._accepted),
            decided=states["decided"],
            to_review=states["needs_review"],
            failed=states["failed"],
            faults=self._faults.total(),
            restarts=sum(one.starts - 1 for one in (self._stack.redis, self._stack.api, *self._stack.workers)),
            rejected=self._rejected,
            seconds=seconds,
            recovered_s=recovered_s,
            unfinished=len(ids - set(records)),
            ended_twice=sum(count != 1 for count in ends.values()),
            doubled=sum(len(group) > 1 for group in self._accepted.values()),
            contradicted=contradicted,
            unsent=len(set(records) - sent),
            by_fault=dict(self._faults),
        )

    async def _ends(self, id: str) -> int:
        """The number of events that end the run."""
        entries = await self._stack.admin.xrange(f"vqc:group:{id}:events")
        return sum((fields or {}).get("name") == "finished" for _, fields in entries or ())

    async def _wait_for_webhooks(self, records: dict[str, dict[str, object]]) -> tuple[set[str], int]:
        """The tickets whose webhook came, and how many of what came contradicts the record."""
        until, sent, contradicted = perf_counter() + 90, set[str](), 0
        while perf_counter() < until and not set(records) <= sent:
            sent, contradicted = set(), 0
            for line in (await asyncio.to_thread(self._stack.received.read_text, "utf-8")).splitlines():
                body = json.loads(line)["body"]
                record = records.get(body["id"])
                sent.add(body["id"])
                contradicted += record is None or any(
                    body[name] != record[name] for name in ("state", "verdict", "reason")
                )
            await asyncio.sleep(1.0)
        return sent & set(records), contradicted


def _ticket(n: int, seed: int) -> tuple[dict[str, object], list[tuple[str, tuple[str, bytes, str]]] | None]:
    """The fields of a ticket, and its file if it has a picture."""
    common: dict[str, object] = {
        "mission": "挡风板安装检查",
        "ticket_id": f"chaos-{seed}-{n}",
        "webhook": "https://receiver.test/hook",
    }
    if n % _PICTURED:
        return {**common, "photos": [{"summary": _LINE}]}, None
    picture = BytesIO()
    Image.new("RGB", (96 + n % 64, 64), (n % 251, n // 251 % 251, seed % 251)).save(picture, "JPEG")
    return {"group": json.dumps(common)}, [("photos", ("photo.jpg", picture.getvalue(), "image/jpeg"))]


async def _wait_ready(stack: Stack, client: httpx.AsyncClient) -> None:
    until, found = perf_counter() + 90, "nothing listens"
    while perf_counter() < until:
        try:
            reply = await client.get(f"{stack.url}/readyz")
            if reply.status_code == 200:
                return
            found = reply.text
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.2)
    raise BenchFailed(f"the service is not ready after 90 s: {found}")
