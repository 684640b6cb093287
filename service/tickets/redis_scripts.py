"""The changes of ticket records in Redis. Each is one Lua script, so that record, indices and events never disagree.

``redis_store`` names the ``KEYS`` and ``ARGV`` where it calls a script.
"""

from __future__ import annotations

from redis.asyncio import Redis

from service.tickets.ticket import State

_NOW = """
-- Seconds by the server's clock: those of the workers' hosts may differ.
local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end
-- A heartbeat is a number that only grows, also while the clock goes back: watchers compare it, they compute no age from it.
local function beat(key, id)
  redis.call('ZADD', key, math.max(now(), tonumber(redis.call('ZSCORE', key, id) or 0) + 0.001), id)
end
"""

_CREATE = """
local used = ARGV[1] ~= '' and redis.pcall('GET', KEYS[5])
local id = type(used) == 'string' and string.match(used, ' (.+)')
-- The key outlives its ticket when maintenance deletes the ticket first: such a key is free again, as is an unreadable one.
if id and redis.call('EXISTS', ARGV[9] .. id) == 1 then return used end
-- The ticket exists already when the client sent this call again because the first answer was lost.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'version', 1, 'op', '', 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
  -- Scores are all 0, so that the set sorts by id, and an id by its time.
  redis.call('ZADD', KEYS[3], 0, ARGV[3])
  beat(KEYS[4], ARGV[3])
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
if ARGV[7] == '1' then beat(KEYS[5], ARGV[3]) else redis.call('ZREM', KEYS[5], ARGV[3]) end
-- Whether the ticket owes its webhook; nothing leaves that as it was.
if ARGV[11] == '1' then redis.call('ZADD', KEYS[7], 0, ARGV[3]) end
if ARGV[11] == '0' then redis.call('ZREM', KEYS[7], ARGV[3]) end
-- ARGV from 12: the facets to leave (ARGV[9] of them), those to join (ARGV[10]), then name and data of each event.
local events = 12 + ARGV[9] + ARGV[10]
for i = 12, 11 + ARGV[9] do leave_facet(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = 12 + ARGV[9], events - 1 do join_facet(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
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
beat(KEYS[2], ARGV[2])
return 1
"""

_STATES = "local STATES = {" + ", ".join(f"['{state.value}'] = true" for state in State) + "}\n"

_REINDEX = """
-- ARGV: what precedes the id in a ticket's key and the state in a state's, the keys of the active, the unreadable and the
-- waiting tickets, what precedes the name of a key that is set aside; then the ids.
local fixed, unreadable, unlisted = 0, {}, {}
for i = 7, #ARGV do
  local id, changed = ARGV[i], false
  local key = ARGV[1] .. id
  local kind = redis.call('TYPE', key).ok
  local state = kind == 'hash' and redis.call('HGET', key, 'state')
  local events = redis.call('TYPE', key .. ':events').ok
  if events ~= 'stream' and events ~= 'none' then redis.call('RENAME', key .. ':events', ARGV[6] .. key .. ':events') end
  if kind ~= 'none' and not (state and STATES[state] and redis.call('HEXISTS', key, 'record') == 1) then
    unreadable[#unreadable + 1] = id
  elseif kind ~= 'none' and not redis.call('ZSCORE', ARGV[4], id) then
    for one in pairs(STATES) do
      local listed = redis.call('ZSCORE', ARGV[2] .. one, id)
      if one == state and not listed then
        redis.call('ZADD', ARGV[2] .. one, 0, id)
        changed = true
      elseif one ~= state and listed then
        redis.call('ZREM', ARGV[2] .. one, id)
        changed = true
      end
    end
    if (state == 'queued' or state == 'running') and not redis.call('ZSCORE', ARGV[3], id) then
      beat(ARGV[3], id)
      changed = true
    end
    if state == 'needs_review' and not redis.call('ZSCORE', ARGV[5], id) then unlisted[#unlisted + 1] = id end
    if changed then fixed = fixed + 1 end
  end
end
return {fixed, unreadable, unlisted}
"""

_LIST_FACETS = """
-- Only while the record is the one that the facets were computed from.
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[3] then return 0 end
for i = 4, #ARGV do join_facet(ARGV[i], ARGV[1], KEYS[2], ARGV[2]) end
return 1
"""

_SET_ASIDE = """
-- KEYS: the ticket, the active and the unreadable tickets, the facets. ARGV: the id, what precedes a state and a facet.
local exists = redis.call('EXISTS', KEYS[1])
for one in pairs(STATES) do redis.call('ZREM', ARGV[2] .. one, ARGV[1]) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', ARGV[2] .. 'owing', ARGV[1])
for _, name in ipairs(redis.call('SMEMBERS', KEYS[4])) do leave_facet(name, ARGV[1], KEYS[4], ARGV[3]) end
if exists == 0 then return redis.call('ZREM', KEYS[3], ARGV[1]) * 0 end
return redis.call('ZADD', KEYS[3], 0, ARGV[1])
"""

_PROBE = """
-- The commands with which a ticket is accepted and judged, each refused as the ticket's own would be.
redis.call('HSET', KEYS[1], 'state', 'probe')
redis.call('ZADD', KEYS[2], 0, 'probe')
redis.call('ZREM', KEYS[2], 'probe')
redis.call('XADD', KEYS[3], '*', 'name', 'probe')
redis.call('SET', KEYS[4], 'probe', 'EX', 60)
redis.call('SADD', KEYS[5], 'probe')
redis.call('PUBLISH', KEYS[3], '')
redis.call('DEL', unpack(KEYS))
return 1
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
        self.reindex = redis.register_script(_NOW + _STATES + _REINDEX)
        """Returns the number of corrected records, the ids of unreadable ones, and of those that no facet lists."""
        self.list_facets = redis.register_script(_FACETS + _LIST_FACETS)
        self.set_aside = redis.register_script(_STATES + _FACETS + _SET_ASIDE)
        """Returns 1 for a record that was not set aside before, 0 for others."""
        self.probe = redis.register_script(_PROBE)
