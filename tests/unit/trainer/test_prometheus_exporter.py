"""How far training runs are, as Prometheus reads it from what they log."""

import json
import os
from time import time

import httpx
import pytest

from trainer.prometheus_exporter import LATEST_RUNS, LOG_NAME, progress_of, serve


def log(directory, *lines, end="\n", age_s=0.0):
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / LOG_NAME
    file.write_text("\n".join(json.dumps(line) if isinstance(line, dict) else line for line in lines) + end, "utf-8")
    os.utime(file, (time() - age_s,) * 2)
    return file


@pytest.fixture
def page(tmp_path):
    server, port = serve(tmp_path, "127.0.0.1", 0)
    yield lambda: httpx.get(f"http://127.0.0.1:{port}/metrics").text
    server.shutdown()
    server.server_close()


def test_the_latest_value_of_each_name_is_shown(tmp_path, page):
    log(
        tmp_path / "demo",
        {"step": 1, "steps": 9, "train/loss": 2.5, "train/lr": 1e-3},
        {"step": 2, "steps": 9, "train/loss": 1.5},
    )
    lines = page().splitlines()
    for line in ('vqc_train_loss{run="demo"} 1.5', 'vqc_train_learning_rate{run="demo"} 0.001'):
        assert line in lines
    assert 'vqc_train_step{run="demo"} 2.0' in lines
    assert 'vqc_train_steps{run="demo"} 9.0' in lines
    assert 'vqc_train_finished{run="demo"} 0.0' in lines


def test_a_run_that_is_silent_shows_for_how_long(tmp_path, page):
    log(tmp_path / "a" / "b", {"step": 1}, age_s=1000)
    (line,) = [line for line in page().splitlines() if line.startswith("vqc_train_silence_seconds{")]
    assert line.startswith('vqc_train_silence_seconds{run="a/b"}')
    assert 1000 <= float(line.split()[-1]) < 1060


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    file = log(tmp_path, {"step": 3, "train/loss": 1.0}, '{"step": 4, "train/lo', end="")
    assert progress_of(file, tmp_path).values == {"step": 3, "train/loss": 1.0}


def test_a_finished_run_says_so_and_a_loss_that_is_no_number_goes_through(tmp_path, page):
    log(tmp_path / "x", '{"step": 5, "train/loss": NaN}', {"step": 5, "train/runtime_s": 9.5})
    assert 'vqc_train_finished{run="x"} 1.0' in page()
    assert 'vqc_train_loss{run="x"} NaN' in page()


def test_old_runs_do_not_pile_up(tmp_path, page):
    for n in range(LATEST_RUNS + 5):
        log(tmp_path / f"run{n}", {"step": n}, age_s=n)
    shown = [line for line in page().splitlines() if line.startswith("vqc_train_step{")]
    assert len(shown) == LATEST_RUNS
    assert not any(f'run="run{LATEST_RUNS}"' in line for line in shown)
