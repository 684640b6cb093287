"""Liveness: an engine that gets nowhere under load is not alive, an idle one is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from engine import probe


class Engine(BaseHTTPRequestHandler):
    status = 200
    running, tokens = 0, 0

    def do_GET(self) -> None:
        body = (
            f'vllm:num_requests_running{{engine="0"}} {self.running}\nvllm:num_requests_waiting{{engine="0"}} 0.0\n'
            f'vllm:num_requests_waiting_by_reason{{reason="x"}} 9.0\nvllm:generation_tokens_total{{engine="0"}} {self.tokens}\n'
        ).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def engine() -> Iterator[tuple[type[Engine], str]]:
    kind = type("Fresh", (Engine,), {})
    server = HTTPServer(("127.0.0.1", 0), kind)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("engine.probe.time.monotonic", lambda: now[0])
    return now


def test_stalled_under_load_is_a_failure_and_idle_is_not(
    engine: tuple[type[Engine], str], clock: list[float], tmp_path: Path
) -> None:
    kind, url = engine
    arguments = ["--url", url, "--stall-s", "60", "--state", str(tmp_path / "state.json")]
    probe.main(arguments)  # idle
    clock[0] += 1000
    kind.running = 2
    probe.main(arguments)  # the first look under load
    clock[0] += 59
    probe.main(arguments)
    clock[0] += 2
    with pytest.raises(SystemExit, match=r"2 requests in flight and no token for 61 s"):
        probe.main(arguments)
    kind.tokens = 1
    probe.main(arguments)
    clock[0] += 1000
    kind.running = 0
    probe.main(arguments)


def test_a_dead_engine_and_one_that_says_so_are_failures(engine: tuple[type[Engine], str], tmp_path: Path) -> None:
    kind, url = engine
    kind.status = 503
    state = ["--state", str(tmp_path / "state.json")]
    with pytest.raises(SystemExit, match="503"):
        probe.main(["--url", url, *state])
    with pytest.raises(SystemExit, match="does not answer"):
        probe.main(["--url", "http://127.0.0.1:1", *state])


def test_a_state_that_cannot_be_read_begins_anew(engine: tuple[type[Engine], str], tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text("half a fi")
    probe.main(["--url", engine[1], "--state", str(state)])
    assert json.loads(state.read_text()) is None
