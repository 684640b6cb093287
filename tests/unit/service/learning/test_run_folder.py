import json
import os

import pytest

from service.cli.stage_b_run import clock_of
from service.guidance.guidance import Add, apply_operations, first_version
from service.learning.journal import Journal
from service.learning.run_folder import ReplayedFile, RunFolder
from vqc.errors import InvalidValue
from vqc.missions import mission_named

MISSION = mission_named("挡风板安装检查")
IDENTITY = {"config": {"seed": 17}, "model": "m"}


def folder(path, identity=IDENTITY):
    return RunFolder(path / "run", identity, retention=3, clock=clock_of("scripted"))


def test_a_run_resumes_only_as_the_same_run(tmp_path):
    with folder(tmp_path):
        pass
    with folder(tmp_path):
        pass
    other = {"config": {"seed": 18}, "model": "m"}
    with pytest.raises(InvalidValue, match=r"config\.seed: 18 .* started with 17"), folder(tmp_path, other):
        pass


def test_one_process_at_a_time(tmp_path):
    with folder(tmp_path), pytest.raises(InvalidValue, match="another process"), folder(tmp_path):
        pass


def test_the_journal_restores_complete_lines_only(tmp_path):
    with folder(tmp_path) as run:
        run.journal.save_rollouts("a", [{"n": 1}])
        run.journal.save_rollouts("a", [{"n": 2}])
        run.journal.save_answer("b", "答")
    path = tmp_path / "run" / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "c", "ans')
    with folder(tmp_path) as run:
        assert run.journal.rollouts("a") == [{"n": 1}, {"n": 2}]
        assert (run.journal.answer("b"), run.journal.answer("c"), run.journal.rollouts("x")) == ("答", None, [])
    assert path.read_bytes() == whole
    path.write_text('{"other": 1}\n')
    with pytest.raises(InvalidValue, match=r"journal\.jsonl"), Journal(path):
        pass


def written(path, records, *, complete):
    lines = ReplayedFile(path)
    for record in records:
        lines.write(record)
    lines.close(complete=complete)
    return [json.loads(line)["n"] for line in path.read_text("utf-8").splitlines()]


def test_equal_lines_are_passed_over_and_the_first_other_one_replaces_the_rest(tmp_path):
    path = tmp_path / "m" / "lines.jsonl"
    first = [{"n": n} for n in range(5)]
    assert written(path, first, complete=True) == [0, 1, 2, 3, 4]
    inode, changed = path.stat().st_ino, path.stat().st_mtime_ns
    assert written(path, first[:2], complete=False) == [0, 1, 2, 3, 4]
    assert path.stat().st_mtime_ns == changed
    assert written(path, [*first[:2], {"n": 9}], complete=False) == [0, 1, 9]
    assert written(path, first[:2], complete=True) == [0, 1]
    assert path.stat().st_ino == inode


def test_a_line_that_was_cut_is_written_again(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"n": 0}\n{"n"', "utf-8")
    assert written(path, [{"n": 0}, {"n": 1}], complete=True) == [0, 1]


def test_a_run_that_begins_again_puts_its_guidance_back(tmp_path):
    first = first_version(MISSION)
    second = apply_operations(first, [Add(text="甲", evidence=("QC-1",))])
    for _ in range(2):
        with folder(tmp_path) as run:
            run.reset_guidance(MISSION, first)
            assert run.guidance_store.active_version(MISSION) == first
            run.activate_guidance(MISSION, first, second, "reflection")
            assert run.guidance_store.versions(MISSION) == (first, second)
            assert len(run.guidance_store.history(MISSION)) == 2


def test_the_clock_stops_for_answers_that_happen_at_no_time(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert clock_of("scripted")().isoformat() == "1970-01-01T00:00:00+00:00"
    assert clock_of("managed")().year > 2024
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1762160112")
    assert clock_of("managed")().isoformat() == "2025-11-03T08:55:12+00:00"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(InvalidValue, match="SOURCE_DATE_EPOCH"):
        clock_of("managed")
    assert os.environ["SOURCE_DATE_EPOCH"] == "soon"
