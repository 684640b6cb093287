"""What the followers' process sent is received, also when it ended before anyone looked."""

import pytest

from loadtest.errors import BenchFailed
from loadtest.http.requests import Target
from loadtest.suites import stranger_attacks

TARGET = Target(host="127.0.0.1", port=9)


async def test_what_was_sent_before_the_process_ended_is_received_and_then_its_end(monkeypatch):
    monkeypatch.setattr(stranger_attacks.asyncio, "sleep", lambda _: _return_after(followers))
    followers = stranger_attacks.Followers(TARGET, [], 0)
    assert await followers.receive() == 0
    with pytest.raises(BenchFailed, match="has ended"):
        await followers.receive()


async def _return_after(followers: stranger_attacks.Followers) -> None:
    followers.process.join()
