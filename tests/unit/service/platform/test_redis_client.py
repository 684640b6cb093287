"""What debug lines say about commands to Redis, and what they never say."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from service.platform.redis_client import connect


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("SET", "vqc:group:1", '{"note": "a:hidden"}'), "vqc:group:1"),
        (("EVALSHA", "hidden:sha", 1, "vqc:groups:queued", "hidden"), "vqc:groups:queued"),
        (("EVAL", "return hidden:x", 1, "vqc:groups:queued"), "vqc:groups:queued"),
        (("XREAD", "BLOCK", 5, "STREAMS", b"vqc:group:1:events", "0-0"), "vqc:group:1:events"),
        (("SET", "vqc:idempotency:hidden", "x"), "vqc:idempotency:"),
        (("GET", "other"), None),
        (("ECHO", '{"a": "hidden:b"}'), None),
        (("AUTH", "default", "vqc:hidden"), None),
        (("HELLO", 3, "AUTH", "default", "vqc:hidden"), None),
        (("CONFIG SET", "requirepass", "vqc:hidden"), None),
        (("SCRIPT LOAD", "redis.call:hidden"), None),
    ],
)
def test_a_command_is_logged_by_name_and_key_without_values(command: tuple, key: str | None) -> None:
    connection = connect("redis://user:hidden@127.0.0.1:1/0").connection_pool.make_connection()
    with capture_logs() as lines:
        connection.pack_command(*command)
    (line,) = lines
    assert (line["event"], line["log_level"], line["command"]) == ("redis_asked", "debug", command[0])
    assert line["key"] == key
    assert "hidden" not in str(line)
    assert line["size"] > 0
