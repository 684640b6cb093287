"""What lies on the queue in Redis, checked: whether a run's job is still there, and whether an entry is a job at all.

``pydocket`` takes both for granted. It refuses to add a job whose bookkeeping (``…:runs:KEY``) says that it is queued, though
the stream has lost it, and a worker ends at an entry that it cannot read.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import structlog
from docket import Docket, Execution
from redis.asyncio import Redis
from typing_extensions import override

from service.platform.redis_client import answering
from service.tickets.heartbeat_watch import HeartbeatWatch
from service.tickets.ports import JUDGE, NOTIFY

if TYPE_CHECKING:
    from docket._redis import RedisClient

_log = structlog.get_logger("vqc.queue")
_FORGET_S = 3600.0
_KEPT = 1000
"""The most entries that are kept after they were set aside."""

_FIND_LOST = """
-- KEYS: the stream, the delayed jobs, then of each job its bookkeeping and its parked message.
-- ARGV: the group, the latest time for which a job can be delayed, then the name of each job.
-- Returns the lost jobs, those that a worker has, and since when by the worker's clock.
local last, lost, held, started = nil, {}, {}, {}
local function split(id)
  local ms, n = string.match(id, '(%d+)-(%d+)')
  return tonumber(ms), tonumber(n)
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local fields = {}
    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
    if fields['name'] == ARGV[1] then last = fields['last-delivered-id'] end
  end
end
local function on_stream(id)
  if #redis.call('XRANGE', KEYS[1], id, id) == 0 then return false end
  if not last then return true end  -- a group that is made later begins with the first entry
  local ms, n = split(id)
  local last_ms, last_n = split(last)
  if ms > last_ms or (ms == last_ms and n > last_n) then return true end
  return #redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1) > 0
end
for i = 3, #ARGV do
  local runs, parked = KEYS[2 * i - 3], KEYS[2 * i - 2]
  local kind, found = redis.call('TYPE', runs).ok, false
  if kind == 'hash' then
    local run = redis.call('HMGET', runs, 'state', 'stream_id', 'generation', 'started_at')
    if run[3] and not tonumber(run[3]) then
      redis.call('DEL', runs)
    elseif run[1] == 'queued' then
      found = run[2] and string.match(run[2], '^%d+%-%d+$') and on_stream(run[2])
    elseif run[1] == 'scheduled' then
      local due = redis.call('ZSCORE', KEYS[2], ARGV[i])
      found = due and tonumber(due) <= tonumber(ARGV[2]) and redis.call('HEXISTS', parked, 'function') == 1
    elseif run[1] == 'running' then
      found = true
      held[#held + 1] = ARGV[i]
      started[#started + 1] = (run[4] or '') .. '.' .. (run[3] or '')
    end
  elseif kind ~= 'none' then
    redis.call('DEL', runs)
  end
  if not found then lost[#lost + 1] = ARGV[i] end
end
return {lost, held, started}
"""

_REPAIR = """
-- A delayed message without one of its fields stops the mover of due jobs for good. KEYS: the stream, the delayed jobs, the
-- entries set aside. ARGV: what precedes a job's name in its parked message, the time, what a wrong key is renamed with.
local count = 0
for i, kind in ipairs({'stream', 'zset'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= kind and found ~= 'none' then
    redis.call('RENAME', KEYS[i], ARGV[3] .. KEYS[i])
    count = count + 1
  end
end
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[2], 'LIMIT', 0, 1000)) do
  local key = ARGV[1] .. name
  local whole = redis.call('TYPE', key).ok == 'hash'
  if whole then
    for _, field in ipairs({'key', 'when', 'function', 'args', 'kwargs', 'attempt'}) do
      whole = whole and redis.call('HEXISTS', key, field) == 1
    end
  end
  if not whole then
    redis.call('ZREM', KEYS[2], name)
    redis.call('DEL', key)
    redis.call('XADD', KEYS[3], 'MAXLEN', ARGV[4], '*', 'entry', name)
    count = count + 1
  end
end
return count
"""

_PROBE = """
redis.call('HSET', KEYS[1], 'state', 'probe')
redis.call('HINCRBY', KEYS[1], 'generation', 1)
redis.call('XADD', KEYS[2], '*', 'key', 'probe')
redis.call('ZADD', KEYS[3], 0, 'probe')
redis.call('PUBLISH', KEYS[1], '')
redis.call('DEL', unpack(KEYS))
return 1
"""


class QueueEntries:
    """Checks the entries of a docket's queue."""

    def __init__(self, docket: Docket, redis: Redis) -> None:
        self._docket = docket
        self._redis = redis
        self._find_lost_script = redis.register_script(_FIND_LOST)
        self._repair = redis.register_script(_REPAIR)
        self._probe = redis.register_script(_PROBE)
        self._held = HeartbeatWatch()

    async def find_lost(self, task: str, job_ids: Sequence[str], *, latest: float, held_s: float) -> Sequence[str]:
        """Those runs whose job is neither on the stream, nor with a worker, nor delayed until ``latest`` (in Unix time).

        A job that one worker has had for ``held_s``, as long as this process has watched, is lost with that worker.
        """
        names = [f"{task}:{job_id}" for job_id in job_ids]
        keys = [self._docket.stream_key, self._docket.queue_key]
        for name in names:
            keys += [self._docket.runs_key(name), self._docket.parked_task_key(name)]
        with answering():
            found = await self._find_lost_script(keys=keys, args=[self._docket.worker_group_name, latest, *names])
        lost, held, started = cast(tuple[list[str], list[str], list[str]], found)
        for name, start in zip(held, started, strict=True):
            if self._held.unchanged_s(name, start) >= held_s:
                lost.append(name)
        self._held.forget_unseen(_FORGET_S)
        return [name.partition(":")[2] for name in lost]

    async def repair(self, now: float) -> int:
        """Sets aside delayed entries that are no jobs, and keys of another type; returns their number."""
        keys = [self._docket.stream_key, self._docket.queue_key, aside_key(self._docket)]
        args = [self._docket.parked_task_key(""), now, "vqc:aside:", _KEPT]
        with answering():
            return int(await self._repair(keys=keys, args=args))

    async def probe(self) -> None:
        """Returns when the queue's keys accept what a new job writes."""
        keys = [self._docket.key(f"probe:{kind}") for kind in ("runs", "stream", "queue")]
        with answering():
            await self._probe(keys=keys)


def aside_key(docket: Docket) -> str:
    """The stream of what was found on the queue and is no job."""
    return docket.key("aside")


class ScreenedDocket(Docket):
    """A docket whose workers get only jobs that they can run. Every other entry is acknowledged and set aside."""

    @override
    @asynccontextmanager
    async def redis(self) -> AsyncGenerator[RedisClient, None]:
        async with super().redis() as client:
            yield cast("RedisClient", _ScreenedClient(client, self))


class _ScreenedClient:
    """The client of a docket; what it reads from the stream is screened."""

    def __init__(self, client: RedisClient, docket: Docket) -> None:
        self._client = client
        self._docket = docket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def xreadgroup(self, *args: Any, **options: Any) -> list[Any]:
        found = await self._client.xreadgroup(*args, **options)
        return [(stream, await self._screen(entries)) for stream, entries in found or []]

    async def xautoclaim(self, *args: Any, **options: Any) -> list[Any]:
        cursor, entries, *rest = await self._client.xautoclaim(*args, **options)
        return [cursor, await self._screen(entries), *rest]

    async def _screen(self, entries: Sequence[tuple[bytes, dict[bytes, bytes]]]) -> list[Any]:
        jobs = []
        for id, message in entries:
            if message and await _is_job(self._docket, message):
                jobs.append((id, message))
            else:
                await self._set_aside(id, message)
        return jobs

    async def _set_aside(self, id: bytes, message: dict[bytes, bytes]) -> None:
        docket = self._docket
        _log.error("queue_entry_unreadable", entry=id.decode(), fields=len(message))
        async with self._client.pipeline() as one:
            one.xadd(aside_key(docket), {b"entry": id, **dict(message)}, maxlen=_KEPT)  # type: ignore[dict-item]
            one.xack(docket.stream_key, docket.worker_group_name, id)
            one.xdel(docket.stream_key, id)
            await one.execute()


async def _is_job(docket: Docket, message: dict[bytes, bytes]) -> bool:
    """Whether a worker can run the message: it has every field, names a function of ours, and carries a job's id."""
    try:
        execution = await Execution.from_message(docket, message, sync=False)
    except Exception:  # a pickle can raise anything
        return False
    (job_id, *more) = execution.args or (None,)
    return (
        execution.function_name in (JUDGE, NOTIFY)
        and isinstance(job_id, str)
        and not more
        and not execution.kwargs
        and execution.key.startswith(
            f"{execution.function_name}:{job_id}"
        )  # a webhook that is sent again has a longer key
    )
