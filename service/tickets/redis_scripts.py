"""The changes to ticket records in Redis: each is one Lua call, so record, indices and events never disagree.

What its ``KEYS`` and ``ARGV`` are, the store says where it calls it (``redis_store``).
"""

from __future__ import annotations

from redis.asyncio import Redis

_NOW = """
local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end
"""
"""Seconds by the server's clock: the machines' may differ."""

_CREATE = """
local held = ARGV[1] ~= '' and redis.call('GET', KEYS[5])
if held and redis.call('EXISTS', ARGV[9] .. string.match(held, ' (.*)')) == 1 then return held end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'version', 1, 'op', '', 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
  redis.call('ZADD', KEYS[3], 0, ARGV[3])
  redis.call('ZADD', KEYS[4], now(), ARGV[3])
  redis.call('XADD', KEYS[2], '*', 'name', ARGV[7], 'data', ARGV[8])
  if ARGV[1] ~= '' then redis.call('SET', KEYS[5], ARGV[1] .. ' ' .. ARGV[3], 'EX', ARGV[2]) end
end
return ARGV[1] .. ' ' .. ARGV[3]
"""

_SHELVE = """
local function off(name, id, catalogue, prefix)
  redis.call('ZREM', prefix .. name, id)
  if redis.call('EXISTS', prefix .. name) == 0 then redis.call('SREM', catalogue, name) end
end
local function on(name, id, catalogue, prefix)
  redis.call('ZADD', prefix .. name, 0, id)
  redis.call('SADD', catalogue, name)
end
"""

_UPDATE = """
local held = redis.call('HMGET', KEYS[1], 'version', 'op')
if not held[1] then return -1 end
if held[2] == ARGV[2] then return 1 end
if held[1] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1] + 1, 'op', ARGV[2], 'state', ARGV[4], 'fence', ARGV[5], 'record', ARGV[6])
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('ZADD', KEYS[4], 0, ARGV[3])
if ARGV[7] == '1' then redis.call('ZADD', KEYS[5], now(), ARGV[3]) else redis.call('ZREM', KEYS[5], ARGV[3]) end
local events = 11 + ARGV[9] + ARGV[10]
for i = 11, 10 + ARGV[9] do off(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = 11 + ARGV[9], events - 1 do on(ARGV[i], ARGV[3], KEYS[6], ARGV[8]) end
for i = events, #ARGV, 2 do redis.call('XADD', KEYS[2], '*', 'name', ARGV[i], 'data', ARGV[i + 1]) end
if events < #ARGV then redis.call('PUBLISH', KEYS[2], '') end
return 1
"""

_REMOVE = """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[3], ARGV[1])
for i = 3, #ARGV do off(ARGV[i], ARGV[1], KEYS[4], ARGV[2]) end
"""

_BEAT = """
local held = redis.call('HMGET', KEYS[1], 'state', 'fence')
if held[1] ~= 'running' or held[2] ~= ARGV[1] then return 0 end
redis.call('ZADD', KEYS[2], now(), ARGV[2])
return 1
"""

_QUIET = """
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now() - ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], now(), id) end
return ids
"""

_SILENCE = """
local heard = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not heard then return false end
return tostring(now() - heard)
"""


class TicketScripts:
    """The scripts, each called by its digest and sent whole only to a server that does not have it yet."""

    def __init__(self, redis: Redis) -> None:
        self.create = redis.register_script(_NOW + _CREATE)
        """The digest and the id that the idempotency key stands for, as ``digest id``."""
        self.update = redis.register_script(_NOW + _SHELVE + _UPDATE)
        """1: done, also by an earlier call of the same operation; 0: the version is another; -1: there is no such ticket."""
        self.remove = redis.register_script(_SHELVE + _REMOVE)
        self.beat = redis.register_script(_NOW + _BEAT)
        """1, or 0 where the ticket does not run under this fence."""
        self.quiet = redis.register_script(_NOW + _QUIET)
        """The ids not heard of for so long; they count as heard of now."""
        self.silence = redis.register_script(_NOW + _SILENCE)
        """Seconds since the ticket was heard of, as text; None where it is not active."""
