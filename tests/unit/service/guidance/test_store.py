import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from service.guidance.guidance import Add, Remove, apply_operations, first_version
from service.guidance.record import guidance_of, record_of
from service.guidance.store import GuidanceStore
from service.judging.calibration import Calibration
from service.judging.thresholds import Thresholds
from service.platform.errors import GuidanceConflict, StorageFull, StorageUnavailable
from service.web.problems import problem_of
from vqc.errors import InvalidValue
from vqc.missions import mission_named

MISSION = mission_named("BBU安装方式检查（正装）")
OTHER = mission_named("挡风板安装检查")
FIRST = first_version(MISSION)
SECOND = apply_operations(FIRST, [Add(text="甲", evidence=("QC-1",))])
THIRD = apply_operations(SECOND, [Add(text="乙", evidence=("QC-2",))])


@pytest.fixture
def store(tmp_path) -> GuidanceStore:
    return GuidanceStore(tmp_path, clock=lambda: datetime(2025, 11, 3, tzinfo=UTC))


def test_an_empty_store_has_the_missions_own_focus_in_force_and_writes_nothing(store, tmp_path):
    assert store.active_version(MISSION) == FIRST
    assert store.versions(MISSION) == (FIRST,)
    assert store.history(MISSION) == ()
    assert list(tmp_path.iterdir()) == []


def test_versions_are_put_in_force_kept_and_rolled_back(store):
    store.propose(MISSION, THIRD, by="model", run="demo")
    assert store.active_version(MISSION) == FIRST
    store.approve(MISSION, SECOND, expected=FIRST.digest, by="Li", note="checked")
    store.approve(MISSION, THIRD, expected=SECOND.digest, by="Li")
    assert store.active_version(MISSION) == THIRD
    assert store.versions(MISSION) == (FIRST, SECOND, THIRD)
    assert store.version(MISSION, SECOND.digest[:8]) == SECOND
    assert store.rollback(MISSION, expected=THIRD.digest, by="Wang") == SECOND
    assert store.rollback(MISSION, expected=SECOND.digest, by="Wang", to=FIRST.digest) == FIRST
    assert store.active_version(MISSION) == FIRST
    actions = [(event.action, event.step, event.by, event.note) for event in store.history(MISSION)]
    assert actions[:2] == [("proposed", 2, "model", ""), ("approved", 1, "Li", "checked")]
    assert [action for action, *_ in actions[2:]] == ["approved", "rolled back", "rolled back"]
    assert store.active_version(OTHER) == first_version(OTHER)


def test_a_change_made_for_another_version_is_refused(store):
    store.approve(MISSION, SECOND, expected=FIRST.digest, by="Li")
    with pytest.raises(GuidanceConflict, match=SECOND.digest[:12]):
        store.approve(MISSION, SECOND, expected=FIRST.digest, by="Wang")
    with pytest.raises(GuidanceConflict):
        store.rollback(MISSION, expected=FIRST.digest, by="Wang")


def test_of_many_at_once_one_is_faster(tmp_path):
    texts = [apply_operations(FIRST, [Add(text=f"规则{n}", evidence=("QC-1",))]) for n in range(8)]

    def approve(version):
        try:
            GuidanceStore(tmp_path).approve(MISSION, version, expected=FIRST.digest, by="x")
        except GuidanceConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(approve, texts))
    assert won.count(True) == 1
    assert GuidanceStore(tmp_path).active_version(MISSION) == texts[won.index(True)]


def test_what_cannot_be_put_in_force_is_named(store):
    with pytest.raises(InvalidValue, match="must be 'BBU安装方式检查（正装）'"):
        store.approve(MISSION, first_version(OTHER), expected=FIRST.digest, by="x")
    with pytest.raises(InvalidValue, match="is the first"):
        store.rollback(MISSION, expected=FIRST.digest, by="x")
    with pytest.raises(InvalidValue, match=FIRST.digest[:12]):
        store.version(MISSION, "0" * 64)
    with pytest.raises(InvalidValue, match=r"guidance\.version"):
        store.version(MISSION, FIRST.digest[:7])


def test_only_the_newest_snapshots_stay_and_always_the_one_in_force(tmp_path):
    store = GuidanceStore(tmp_path, retention=2)
    before = FIRST
    for n in range(4):
        after = apply_operations(before, [Add(text=f"规则{n}", evidence=("QC-1",))])
        store.approve(MISSION, after, expected=before.digest, by="x")
        before = after
    assert [one.step for one in store.versions(MISSION)] == [3, 4]
    store.rollback(MISSION, expected=before.digest, by="x")
    store.propose(MISSION, apply_operations(before, [Remove(id="G0", evidence=("QC-1",))]), by="x", run="demo")
    assert store.active_version(MISSION).step == 3
    with pytest.raises(InvalidValue, match="retention"):
        GuidanceStore(tmp_path, retention=0)


def test_an_edited_file_is_rejected(store, tmp_path):
    store.approve(MISSION, SECOND, expected=FIRST.digest, by="x")
    path = tmp_path / MISSION.name / "guidance.json"
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(record | {"focus": "别的"}), "utf-8")
    with pytest.raises(InvalidValue, match="not in place"):
        store.active_version(MISSION)
    path.write_text("{", "utf-8")
    with pytest.raises(InvalidValue, match=r"guidance\.json"):
        store.active_version(MISSION)
    with pytest.raises(InvalidValue, match=r"guidance\.extra"):
        guidance_of(record_of(SECOND) | {"extra": 1})


def test_a_threshold_holds_for_the_four_that_it_was_made_for(tmp_path):
    made = Calibration(
        threshold=0.8, budget=0.05, delta=0.1, failed=60, released_failed=0, coverage=0.7, risk_bound=0.04
    )
    kept = Thresholds(tmp_path)
    kept.put(made, SECOND, model="m1", sampler="s1")
    assert kept.find(SECOND, model="m1", sampler="s1") == made
    assert kept.find(THIRD, model="m1", sampler="s1") is None
    assert kept.find(SECOND, model="m2", sampler="s1") is None
    assert kept.find(SECOND, model="m1", sampler="s2") is None
    path = kept.put(made, SECOND, model="m1", sampler="s1")
    path.write_text('{"mission": 3}', "utf-8")
    with pytest.raises(InvalidValue, match="stage-b calibrate"):
        kept.find(SECOND, model="m1", sampler="s1")


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\r"])
def test_a_note_may_hold_every_character_that_ends_a_line_elsewhere(store, mark):
    store.approve(MISSION, SECOND, expected=FIRST.digest, by="Li", note=f"a{mark}b")
    assert [entry.note for entry in store.history(MISSION)] == [f"a{mark}b"]


def test_a_torn_last_line_of_the_history_is_left_out_and_removed_by_the_next_entry(store, tmp_path):
    store.approve(MISSION, SECOND, expected=FIRST.digest, by="Li")
    path = tmp_path / MISSION.name / "history.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + '{"at": "2025", "by": "王'.encode()[:-1])
    assert len(store.history(MISSION)) == 1
    store.approve(MISSION, THIRD, expected=SECOND.digest, by="Li")
    assert len(store.history(MISSION)) == 2
    assert path.read_bytes().startswith(whole + b"{")
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(("code", "kind", "status"), [
    (errno.ENOSPC, StorageFull, 507), (errno.EDQUOT, StorageFull, 507), (errno.EIO, StorageUnavailable, 503),
])  # fmt: skip
def test_a_full_disk_leaves_everything_as_it_was_at_whatever_write_it_comes(
    store, tmp_path, monkeypatch, code, kind, status
):
    store.approve(MISSION, SECOND, expected=FIRST.digest, by="Li")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    fsync, left = os.fsync, [0]

    def fail_after(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_after)
    for writes in range(3):  # the entry, the snapshot, the active version
        left[0] = writes
        with pytest.raises(kind) as raised:
            store.approve(MISSION, THIRD, expected=SECOND.digest, by="Li")
        assert problem_of(raised.value).status == status
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    left[0] = 3
    store.approve(MISSION, THIRD, expected=SECOND.digest, by="Li")
