"""Progress and the cause of a failed start, from lines that vLLM 0.32 wrote."""

from __future__ import annotations

from pathlib import Path

from engine.protocol import StartPhase
from engine.startup import StartupLog

LINES = [
    ("(APIServer pid=1) INFO 11-22 20:35:10 [api_utils.py:347]  version 0.32.0", "starting"),
    ("(APIServer pid=1) INFO 11-22 20:35:18 [model.py:733] Resolved architecture: Qwen3VL", "starting the engine core"),
    ("(Worker pid=1) INFO 11-22 20:35:34 [cpu_model_runner.py:68] Starting to load model /m...", "loading weights"),
    ("Loading safetensors checkpoint shards:  40% Completed | 2/5 [00:03<00:05]", "loading weights (40 %)"),
    ("(Worker pid=1) INFO [default_loader.py:501] Loading weights took 0.01 seconds", "profiling and compiling"),
    (
        "(EngineCore pid=1) INFO [core.py:402] init engine (profile, create kv cache, warmup model)",
        "starting the server",
    ),
    ("INFO:     Application startup complete.", "starting the server"),
]


def test_the_phase_follows_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("of an earlier start: Starting to load model\n")
    log = StartupLog(path, path.stat().st_size)
    for line, phase in LINES:
        with path.open("a") as file:
            file.write(f"{line}\n")
        assert log.phase()[1] == phase


def test_a_line_counts_once_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("Starting to load")
    log = StartupLog(path, 0)
    assert log.phase() == (StartPhase.STARTING, "starting")
    path.write_text("Starting to load model /m\n")
    assert log.phase() == (StartPhase.LOADING, "loading weights")


def test_the_last_error_that_names_a_cause(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(
        "ValueError: of an earlier start\n"
        "(EngineCore pid=1) ERROR Traceback (most recent call last):\n"
        "(EngineCore pid=1) ERROR ValueError: To serve at least one request, 3.0 GiB of KV cache are needed\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed: {}\n"
    )
    assert (
        StartupLog(path, 33).last_error() == "ValueError: To serve at least one request, 3.0 GiB of KV cache are needed"
    )
    path.write_text("nothing of the kind\n")
    assert StartupLog(path, 0).last_error() is None
