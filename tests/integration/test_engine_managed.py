"""The life of a managed engine, with a stand-in for vLLM that starts in a moment: up, killed, stuck, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import EngineTimeout, EngineUnavailable
from engine.managed import ManagedEngine
from engine.profile import EngineSettings
from engine.protocol import DecodingParams, GenerateRequest, StartPhase
from engine.shared_memory import shared_memory_of
from tests.support.managed_engines import QUICK, alive, fake_command, managed, members

ROOT = Path(__file__).parents[2]
ASKED = GenerateRequest(
    request_id="r", system="", user=("问",), decoding=DecodingParams(max_new_tokens=100), timeout_s=30
)
DIE, FREEZE = replace(ASKED, user=("die",)), replace(ASKED, user=("freeze",))


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.02)


async def test_it_answers_between_start_and_stop(tmp_path: Path) -> None:
    async with managed(tmp_path) as engine:
        assert (await engine.health()).ready
        assert (await engine.generate(ASKED)).completions[0].text
        assert [delta async for delta in engine.stream(ASKED)][-1].finish_reason == "stop"
        assert "vllm:num_requests_running" in await engine.metrics()
        pid = engine.pid
        assert pid
        assert alive(pid)
    assert not alive(pid)
    assert engine.pid is None
    with pytest.raises(EngineUnavailable, match="stopped"):
        await engine.generate(ASKED)
    with pytest.raises(EngineUnavailable, match="stopped"):
        await engine.metrics()


async def test_before_its_start_it_says_so(tmp_path: Path) -> None:
    engine = ManagedEngine(EngineSettings(model=tmp_path), log_path=tmp_path / "log", command=fake_command())
    assert (await engine.health()).reason == "not started"
    with pytest.raises(EngineUnavailable):
        await engine.wait_until_ready()
    await engine.aclose()


async def test_health_tells_how_far_the_start_is(tmp_path: Path) -> None:
    boot = tmp_path / "boot.log"
    boot.write_text("Starting to load model\n")
    never = [sys.executable, "-c", f"import time; print(open({str(boot)!r}).read(), flush=True); time.sleep(60)"]
    engine = ManagedEngine(
        EngineSettings(model=tmp_path), log_path=tmp_path / "log", timeouts=QUICK, command=lambda settings, uds: never
    )
    await engine.start()
    reasons = set()
    async with asyncio.timeout(120):
        while not any(reason.startswith("loading weights (") for reason in reasons):
            reasons.add((await engine.health()).reason)
            await asyncio.sleep(0.02)
    assert (await engine.health()).phase is StartPhase.LOADING
    with pytest.raises(EngineUnavailable, match="loading weights"):
        await engine.generate(ASKED)
    await engine.aclose()
    assert (await engine.health()).phase is None


async def test_a_start_that_fails_tells_the_cause_and_is_tried_again(tmp_path: Path) -> None:
    fails = [sys.executable, "-c", "raise ValueError('no room for the cache')"]
    engine = ManagedEngine(
        EngineSettings(model=tmp_path), log_path=tmp_path / "log", timeouts=QUICK, command=lambda settings, uds: fails
    )
    with pytest.raises(EngineUnavailable, match="exited with code 1 while starting: ValueError: no room for the cache"):
        async with engine:
            pass
    await engine.start()
    await eventually(lambda: engine._restarts >= 3)
    assert "restarting" in (await engine.health()).reason
    await engine.aclose()


@pytest.mark.parametrize(
    ("asked", "cause"),
    [
        (
            DIE,
            r"exited with code 3 while warming up: RuntimeError: out of memory in the grammar; its log is .*engine\.log",
        ),
        (replace(ASKED, timeout_s=0.2, user=("freeze",)), r"failed to warm up: .*; its log is .*engine\.log"),
    ],
)
async def test_an_engine_that_dies_while_it_warms_up_names_the_cause_and_its_log(
    tmp_path: Path, asked: GenerateRequest, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.managed._EXIT_S", 30.0 if asked is DIE else 0.1)
    boot = tmp_path / "boot.log"
    boot.write_text("RuntimeError: out of memory in the grammar\n" if asked is DIE else "all is well\n")
    engine = ManagedEngine(
        EngineSettings(model=tmp_path, profile="cpu"),
        log_path=tmp_path / "logs" / "engine.log",
        timeouts=replace(QUICK, stop_s=0.5),
        warmup=[asked],
        command=fake_command("--boot-log", str(boot)),
    )
    with pytest.raises(EngineUnavailable, match=cause):
        async with engine:
            pass


async def test_a_command_that_is_not_there_is_a_reason_too(tmp_path: Path) -> None:
    engine = ManagedEngine(
        EngineSettings(model=tmp_path), log_path=tmp_path / "log", command=lambda settings, uds: ["/no/such/program"]
    )
    with pytest.raises(EngineUnavailable, match="No such file"):
        async with engine:
            pass


async def test_a_start_has_a_limit(tmp_path: Path) -> None:
    never = [sys.executable, "-c", "import time; time.sleep(60)"]
    engine = ManagedEngine(
        EngineSettings(model=tmp_path),
        log_path=tmp_path / "log",
        timeouts=replace(QUICK, start_s=0.2, stop_s=1),
        command=lambda settings, uds: never,
    )
    with pytest.raises(EngineUnavailable, match=r"did not start within 0\.2 s; it was starting"):
        async with engine:
            pass


async def test_killed_under_load_it_fails_what_is_in_flight_and_comes_back(tmp_path: Path) -> None:
    async with managed(tmp_path) as engine:
        tasks = [asyncio.create_task(engine.generate(replace(ASKED, user=(str(n),)))) for n in range(8)]
        await eventually(lambda: engine._in_flight.count == 8)
        assert engine.pid
        os.kill(engine.pid, signal.SIGKILL)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, EngineUnavailable)
            assert "the engine was killed by signal 9 (SIGKILL); restarting" in outcome.reason
        await engine.wait_until_ready()
        assert (await engine.generate(ASKED)).completions
        assert (await engine.health()).restarts == 1


async def test_a_request_that_kills_the_engine_does_not_kill_it_twice(tmp_path: Path) -> None:
    async with managed(tmp_path) as engine:
        with pytest.raises(EngineUnavailable, match="exited with code 3; restarting"):
            await engine.generate(DIE)
        await engine.wait_until_ready()
        assert (await engine.health()).restarts == 1


async def test_an_engine_that_no_longer_answers_is_replaced(tmp_path: Path) -> None:
    async with managed(tmp_path) as engine:
        first = engine.pid
        with pytest.raises(EngineUnavailable, match="stopped answering"):
            await engine.generate(FREEZE)
        await engine.wait_until_ready()
        assert first
        assert not alive(first)
        assert engine.pid != first


async def test_a_deadline_that_passes_without_a_word_raises_suspicion(tmp_path: Path) -> None:
    async with managed(tmp_path, timeouts=replace(QUICK, stall_s=3600, heartbeat_s=1)) as engine:
        first = engine.pid
        with pytest.raises(EngineTimeout):
            await engine.generate(replace(FREEZE, timeout_s=0.2))
        await eventually(lambda: engine._restarts == 1)
        await engine.wait_until_ready()
        assert engine.pid != first


async def test_a_deadline_that_is_too_short_is_no_reason_to_restart(tmp_path: Path) -> None:
    async with managed(tmp_path) as engine:
        first = engine.pid
        for _ in range(5):
            with pytest.raises(EngineTimeout):
                await engine.generate(replace(ASKED, timeout_s=0.01))
            await asyncio.sleep(0.1)
        assert (await engine.generate(ASKED)).completions
        assert engine.pid == first


async def test_a_slow_answer_is_no_reason_to_restart(tmp_path: Path) -> None:
    async with managed(tmp_path, timeouts=replace(QUICK, stall_s=0.01)) as engine:
        first = engine.pid
        for _ in range(10):
            await engine.generate(ASKED)
        assert engine.pid == first


async def test_stopping_lets_requests_finish(tmp_path: Path) -> None:
    async with managed(tmp_path) as engine:
        task = asyncio.create_task(engine.generate(ASKED))
        await eventually(lambda: engine._in_flight.count == 1)
        closing = asyncio.create_task(engine.aclose())
        await asyncio.sleep(0)
        with pytest.raises(EngineUnavailable, match="stopping"):
            await engine.generate(ASKED)
        assert (await task).completions
        await closing


async def test_children_that_ignore_sigterm_are_ended_too(tmp_path: Path) -> None:
    async with managed(tmp_path, "--child") as engine:
        pid = engine.pid
        assert pid
        await eventually(lambda: len(members(pid)) == 2)
    assert not members(pid)


async def test_it_does_not_outlive_us(tmp_path: Path) -> None:
    """A process that runs an engine is killed, and so cannot stop it: the engine goes all the same."""
    script = f"""
import asyncio
from pathlib import Path
from tests.support.managed_engines import managed

async def main():
    async with managed(Path({str(tmp_path)!r}), "--child") as engine:
        print(engine.pid, flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=ROOT, text=True) as parent:  # noqa: ASYNC220
        assert parent.stdout
        output = (await asyncio.to_thread(parent.stdout.readline)).strip()
        while not output.isdigit():  # log lines
            output = (await asyncio.to_thread(parent.stdout.readline)).strip()
        pid = int(output)
        assert alive(pid)
        parent.kill()
    await eventually(lambda: not alive(pid))


async def test_the_engine_inherits_none_of_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VQC_SECRET", "s")
    async with managed(tmp_path) as engine:
        environment = Path(f"/proc/{engine.pid}/environ").read_bytes()  # noqa: ASYNC240
    assert b"VQC_SECRET" not in environment
    assert b"HF_HUB_OFFLINE=1" in environment


def test_shared_memory_that_a_session_has_mapped_is_found(tmp_path: Path) -> None:
    script = """
from multiprocessing.shared_memory import SharedMemory
memory = SharedMemory(create=True, size=9)
print(memory.name, flush=True)
input()
memory.unlink()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with child:
        assert child.stdout
        name = child.stdout.readline().strip()
        assert shared_memory_of(child.pid) == {Path("/dev/shm") / name}
        child.communicate("\n")
