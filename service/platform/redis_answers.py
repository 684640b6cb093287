"""What Redis or Valkey can answer instead of doing what it was asked, and how the service treats it: one table.

Every row is treated alike, because in none of them is the caller or the ticket at fault: a request gets 503 with
``Retry-After``, ``/readyz`` gives ``meaning`` as its reason, and a worker waits and spends no attempt. A code that is not in
the table is a refusal too. ``WRONGTYPE`` alone says something about one key; the stores handle it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from redis.exceptions import DataError, LockError, PubSubError, RedisError, ResponseError, TimeoutError, WatchError

from service.platform.errors import QueueUnavailable

WRONG_TYPE = "WRONGTYPE"
"""The code of a key that holds another type than the command is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAnswer:
    """One answer. ``retry_after_s`` estimates when it will have ended: long where a person has to act."""

    meaning: str
    retry_after_s: float = 5.0


TIMEOUT = "TIMEOUT"
CONNECTION = "CONNECTION"
"""The codes of what is no answer: none in time, and a connection that cannot be made or was cut."""

ANSWERS: dict[str, RedisAnswer] = {
    TIMEOUT: RedisAnswer(meaning="Redis does not answer in time"),
    CONNECTION: RedisAnswer(meaning="Redis cannot be reached"),
    "LOADING": RedisAnswer(meaning="Redis is loading its data"),
    "BUSY": RedisAnswer(meaning="Redis is blocked by a script or a function"),
    "NOREPLICAS": RedisAnswer(meaning="Redis has too few replicas to accept writes (min-replicas-to-write)"),
    "MISCONF": RedisAnswer(meaning="Redis cannot write to its disk and accepts no writes", retry_after_s=30.0),
    "OOM": RedisAnswer(meaning="Redis has no memory left (maxmemory)", retry_after_s=30.0),
    "READONLY": RedisAnswer(meaning="Redis is a replica and accepts no writes"),
    "MASTERDOWN": RedisAnswer(meaning="Redis is a replica that has lost its primary"),
    "CLUSTERDOWN": RedisAnswer(meaning="the Redis cluster is down"),
    "TRYAGAIN": RedisAnswer(meaning="the Redis cluster is moving keys"),
    "MOVED": RedisAnswer(meaning="this is one node of a Redis Cluster, which is not supported", retry_after_s=60.0),
    "ASK": RedisAnswer(meaning="this is one node of a Redis Cluster, which is not supported", retry_after_s=60.0),
    "CROSSSLOT": RedisAnswer(meaning="this is a Redis Cluster, which is not supported", retry_after_s=60.0),
    "NOPERM": RedisAnswer(meaning="the Redis user lacks a permission", retry_after_s=30.0),
    "NOAUTH": RedisAnswer(meaning="Redis requires a password", retry_after_s=30.0),
    "WRONGPASS": RedisAnswer(meaning="Redis rejects the user or the password", retry_after_s=30.0),
    "DENIED": RedisAnswer(meaning="Redis is in protected mode", retry_after_s=30.0),
    "EXECABORT": RedisAnswer(meaning="Redis discarded a transaction"),
    "UNBLOCKED": RedisAnswer(meaning="Redis was made a replica"),
    "UNKILLABLE": RedisAnswer(meaning="Redis is blocked by a script that has already written"),
    "NOMASTERLINK": RedisAnswer(meaning="Redis is a replica that has lost its primary"),
    "INPROG": RedisAnswer(meaning="a failover of Redis is in progress"),
    WRONG_TYPE: RedisAnswer(meaning="a key of the service holds another type of value"),
}
_UNKNOWN = RedisAnswer(meaning="Redis rejects a command")
_NO_PERMISSION_IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")
"""Valkey and Redis 7 say so without a code where a script runs into it."""
_CODE = re.compile(r"(?:^|caused error: )([A-Z]{3,})\b")


def code_of(error: Exception) -> str:
    """The code of an error of the Redis client, of its connection or of its deadline.

    >>> code_of(ResponseError("NOREPLICAS Not enough good replicas to write."))
    'NOREPLICAS'
    >>> code_of(ResponseError("Command # 2 (ZADD a 0 b) of pipeline caused error: MISCONF Errors writing to the AOF file"))
    'MISCONF'
    """
    named = getattr(error, "status_code", None) or (found[1] if (found := _CODE.search(str(error))) else "")
    if any(text in str(error) for text in _NO_PERMISSION_IN_SCRIPT):
        return "NOPERM"
    if isinstance(error, ResponseError) or named in ANSWERS:
        return str(named) or "ERR"
    return TIMEOUT if isinstance(error, TimeoutError | OSError) and "imeout" in type(error).__name__ else CONNECTION


def unavailable(error: Exception) -> QueueUnavailable:
    """The error that callers of Redis get for one of its answers, with the reason in words."""
    code = code_of(error)
    answer = ANSWERS.get(code, _UNKNOWN)
    detail = str(error) or type(error).__name__
    return QueueUnavailable(f"{answer.meaning}: {detail}", code=code, retry_after_s=answer.retry_after_s)


def is_refusal(error: Exception) -> bool:
    """Whether an error is an answer of Redis or the lack of one, rather than a defect of the call."""
    return isinstance(error, RedisError) and not isinstance(error, DataError | LockError | PubSubError | WatchError)
