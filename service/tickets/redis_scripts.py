"""The changes of ticket records in Redis. Each is one Lua script, so that record, indices and events never disagree.

``redis_store`` names the ``KEYS`` and ``ARGV`` where it calls a script.
"""

from __future__ import annotations

from redis.asyncio import Redis

_NOW = """
-- Seconds by the server's clock: those of the workers' hosts may differ.
local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end
"""

_CREATE = """
local used = ARGV[1] ~= '' and redis.call('GET', KEYS[5])
-- The key outlives its ticket when maintenance deletes the ticket first: such a key is free again.
if used and redis.call('EXISTS', ARGV[9] .. string.match(used, ' (.*)')) == 1 then return used end
-- The ticket exists already when the client sent this call again because the first answer was lost.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'version', 1, 'op', '', 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
  -- Scores are all 0, so that the set sorts by id, and an id by its time.
  redis.call('ZADD', KEYS[3], 0, ARGV[3])
  redis.call('ZADD', KEYS[4], now(), ARGV[3])
  redis.call('XADD', KEYS[2], '*', 'name', ARGV[7], 'data', ARGV[8])
  if ARGV[1] ~= '' then redis.call('SET', KEYS[5], ARGV[1] .. ' ' .. ARGV[3], 'EX', ARGV[2]) end
end
return ARGV[1] .. ' ' .. ARGV[3]
"""

_FACETS = """
-- The catalogue names every facet that is not empty, so that reading the counts needs no scan of the keys.
local function leave_facet(name, id, catalogue, prefix)
  redis.call('ZREM', prefix .. name, id)
  if redis.call('EXISTS', prefix .. name) == 0 then redis.call('SREM', catalogue, name) end
end
local function join_facet(name, id, catalogue, prefix)
  redis.call('ZADD', prefix .. name, 0, id)
  redis.call('SADD', catalogue, name)
end
"""

_UPDATE = """
local current = redis.call('HMGET', KEYS[1], 'version', 'op')
if not current[1] then return -1 end
-- The operation comes before the version: a repeated call finds the version that it has raised itself.
if current[2] == ARGV[2] then return 1 end
if current[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'op', ARGV[2], 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
-- Remove before add: both keys are the same when the state does not change.
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('ZADD', KEYS[4], 0, ARGV[3])
-- A change of an active ticket counts as a heartbeat. A finished one has none, so that it is never requeued as quiet.
if ARGV[7] == '1' then redis.call('ZADD', KEYS[5], now(), ARGV[3]) else redis.call('ZREM', KEYS[5], ARGV[3]) end
-- ARGV from 11: the facets to leave (ARGV[9] of them), those to join (ARGV[10]), then name and data of each event.
local events = 11 + ARGV[9] + ARGV[10]
for i = 11, 10 + ARGV[9] do leave_facet(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = 11 + ARGV[9], events - 1 do join_facet(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = events, #ARGV, 2 do redis.call('XADD', KEYS[2], '*', 'name', ARGV[i], 'data', ARGV[i + 1]) end
if events < #ARGV then redis.call('PUBLISH', KEYS[2], '') end
return 1
"""

_REMOVE = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
for i = 3, #ARGV do leave_facet(ARGV[i], ARGV[1], KEYS[4], ARGV[2]) end
"""

_HEARTBEAT = """
local current = redis.call('HMGET', KEYS[1], 'state', 'fence')
-- A worker with an older fence must not keep alive a ticket that another worker has, or that was requeued.
if current[1] ~= 'running' or current[2] ~= ARGV[1] then return 0 end
redis.call('ZADD', KEYS[2], now(), ARGV[2])
return 1
"""

_FETCH_QUIET = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now() - ARGV[1], 'LIMIT', 0, ARGV[2])
-- Renewed at once: another worker that asks at the same time gets none of them.
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now(), id) end
return ids
"""

_HEARTBEAT_AGE = """
local at = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not at then return false end
-- As text: Redis cuts a Lua number to an integer.
return tostring(now() - at)
"""


class TicketScripts:
    """The scripts. Each is called by its digest and sent in full only to a server that does not have it yet."""

    def __init__(self, redis: Redis) -> None:
        self.create = redis.register_script(_NOW + _CREATE)
        """Returns ``digest id``: those of the idempotency key's ticket."""
        self.update = redis.register_script(_NOW + _FACETS + _UPDATE)
        """Returns 1 for a change that is made, now or by an earlier call; 0 for another version; -1 for no ticket."""
        self.remove = redis.register_script(_FACETS + _REMOVE)
        self.heartbeat = redis.register_script(_NOW + _HEARTBEAT)
        """Returns 1, or 0 if the claim with this fence is not active."""
        self.fetch_quiet = redis.register_script(_NOW + _FETCH_QUIET)
        """Returns the ids without a heartbeat for so many seconds, and renews the heartbeats of these."""
        self.heartbeat_age = redis.register_script(_NOW + _HEARTBEAT_AGE)
        """Returns the seconds since the last heartbeat as text; None for a ticket that is not active."""
