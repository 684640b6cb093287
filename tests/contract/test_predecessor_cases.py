"""The predecessor's cases: which the design keeps, where each is run, and those that have no other place.

Kept, and where (a case whose recorded answer is a bug is tested with the correct answer):

| case | run by |
|---|---|
| dense-desc-strip, norm-points, sum-empty | examples of `checked_desc`, `to_norm1000`, `vqc.summary.render` |
| dense-desc-reject, order-reference, parse-quad-nested, -line, -line-nolp, -two-geoms, -clamp | `test_codec_laws` |
| parse-bbox, parse-quad-flat | here |
| geo-hflip, -line-clip, -cov-quarter, -translate, -winding, -quad-canonical | `trainer/geometry/test_geometry` |
| geo-min-area-rect | `test_geometry`: a turned rectangle keeps its area |
| geo-axis-keep, -resize-align, -expand-32, -crop-skip, -determinism, -flip-align | `trainer/augmentation/test_pipeline` |
| geo-completeness | here (the threshold) and `test_pipeline` (the words) |
| ds-bypass | `test_pipeline` |
| sa-config, sa-natural-sort | here; `integration/test_cli` by the command |
| sa-isolation | `integration/test_cli`: a broken photo is reported, all others are written |
| sb-verdict-normalise, sb-two-line-v0 | here |
| sb-guidance-apply, -merge | here and `service/stage_b/test_guidance` |
| tr-log | `trainer/training/test_run`: each key prefixed once |
| tr-final-ckpt | `trainer/training/test_run`: the last step is saved beyond the limit |
| sb-guidance-atomic | here |
| ev-region-iou, ev-tube-iou | here |

Not kept, or not yet:

| case | why |
|---|---|
| norm-points (norm100), order-center | one grid, 0 to 1000, and one reading order: a second of either is a silent mismatch |
| geo-hflip (pixel indices) | coordinates are edges: x' = W − x (ADR 0002), one more than recorded |
| ds-epoch-seed, sb-shuffle | the very permutations; order is a function of (seed, epoch), which is tested |
| sa-group-id | ids come from the folder a photo lies in; a ticket's line names its group |
| sb-perimage-normalise | flattening JSON loses what it says; summaries are taken as they are |
| sb-guidance-merge (missing sources) | an operation that names an unknown rule is refused, not half done |
| sb-snapshot-name | a snapshot is named by its version's step and digest, not by the clock |
| tr-llm-kd-weight, tr-visual-kd, tr-ce-when-no-kd, tr-jsd | distillation; the configuration refuses it until it is there |
| cfg-bool | YAML has booleans; a string or number for one is refused |
| ev-tube-iou (tolerance 1) | the tube's width is fixed, so that scores can be compared |
"""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from engine.protocol import DecodingParams
from service.cli.stage_a_files import photos_below
from service.guidance.guidance import Add, Merge, Remove, Update, apply_operations, first_version
from service.platform.errors import StorageFull
from service.platform.files import write_json
from trainer.augmentation.labels import Label, cut_labels
from trainer.config import ConfigError, TrainConfig, config_from
from trainer.evaluation.overlap import overlap
from trainer.geometry import identity, move_shape
from vqc import parser, verdict
from vqc.errors import InvalidValue
from vqc.geometry import Kind, Shape
from vqc.missions import mission_named
from vqc.parser import Status
from vqc.verdict import Verdict


@pytest.mark.parametrize(
    ("value", "kind", "xy"),
    [
        ({"desc": "BBU设备/华为/显示完整", "bbox_2d": [100, 200, 300, 400]}, Kind.BBOX, (100, 200, 300, 400)),
        ({"desc": "天线/杆塔", "quad": [0, 0, 50, 0, 50, 30, 0, 30]}, Kind.QUAD, (0, 0, 50, 0, 50, 30, 0, 30)),
    ],
    ids=["parse-bbox", "parse-quad-flat"],
)
def test_flat_coordinates_are_read(value: dict[str, object], kind: Kind, xy: tuple[int, ...]):
    outcome = parser.parse(json.dumps({"object_1": value}, ensure_ascii=False))
    assert outcome.caption is not None
    (item,) = outcome.caption.objects
    assert (item.desc, item.shape) == (value["desc"], Shape(kind, xy))


def test_geo_quad_canonical_of_a_rectangle_that_starts_elsewhere():
    quad = Shape(Kind.QUAD, (10, 20, 10, 10, 40, 10, 40, 20))
    assert move_shape(quad, identity()).xy == (10, 10, 40, 10, 40, 20, 10, 20)


@pytest.mark.parametrize(
    ("share", "before", "after"),
    [
        (0.98, "BBU设备/华为,显示完整", "BBU设备/华为,显示完整"),
        (0.7, "BBU设备/华为,显示完整", "BBU设备/华为,只显示部分"),
        (0.6, "BBU设备/华为,只显示部分", "BBU设备/华为,只显示部分"),
        (0.5, "标签/5G", "标签/5G"),
    ],
)
def test_geo_completeness(share: float, before: str, after: str):
    label = Label(index=0, shape=Shape(Kind.BBOX, (0, 0, 100, 100)), desc=before)
    (cut,) = cut_labels((label,), (0, 0, 100 * share, 100), completeness_threshold=0.95)
    assert (cut.coverage, cut.desc) == (pytest.approx(share), after)


def test_sa_config():
    with pytest.raises(InvalidValue, match="top_p"):
        DecodingParams(max_new_tokens=100, top_p=1.5)
    assert mission_named("BBU安装方式检查（正装）").name == "BBU安装方式检查（正装）"


def test_sa_natural_sort(tmp_path: Path):
    for name in ("img10.jpg", "img2.jpg", "IMG1.jpg"):
        (tmp_path / name).touch()
    assert list(photos_below(tmp_path)) == ["IMG1", "img2", "img10"]


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        *((text, Verdict.PASS) for text in ("pass", "PASS", "Pass.", "通过", "通过。")),
        *((text, Verdict.FAIL) for text in ("不通过", "未通过", "不 通 过", " 不通过。")),
        ("合格", None),
        ("", None),
    ],
)
def test_sb_verdict_normalise(spelling: str, expected: Verdict | None):
    answer = verdict.parse(f"{spelling}\n理由: 符合要求").answer
    assert (answer.verdict if answer else None) is expected


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("通过\n理由: 符合要求", Status.PARSED),
        ("不通过\n理由：缺少螺丝", Status.REPAIRED),
        ("通过\n理由: 符合要求  \n", Status.REPAIRED),
        ("通过\n\n理由: 符合要求", Status.REPAIRED),
        ("通过\n符合要求", Status.REPAIRED),
        ("通过", Status.MALFORMED),
        ("结论是通过\n理由: 符合要求", Status.MALFORMED),
    ],
)
def test_sb_two_line_with_the_outcome_in_place_of_a_flag(text: str, status: Status):
    assert verdict.parse(text).status is status


def test_sb_guidance_apply():
    first = first_version(mission_named("挡风板安装检查"), ["若挡风板缺失则判定不通过"])
    second = apply_operations(
        first,
        [
            Update(id="G0", text="若挡风板缺失则判定不通过并提示复检", evidence=("QC-001",)),
            Add(text="若摘要提到挡板松动，应标记为不通过并要求现场复查", evidence=("QC-002",)),
        ],
    )
    assert second.step == first.step + 1
    assert {rule.id: rule.evidence for rule in second.rules} == {"G0": ("QC-001",), "G1": ("QC-002",)}


def test_sb_guidance_merge():
    first = first_version(mission_named("挡风板安装检查"), ["初始经验", "text1"])
    assert apply_operations(first, [Merge(ids=("G0", "G1"), text="merged", evidence=("QC-001",))]).prompt_rules == {
        "G0": "merged"
    }
    for missing in (
        Merge(ids=("G0", "G2"), text="merged", evidence=("QC-001",)),
        Remove(id="G9", evidence=("QC-001",)),
    ):
        with pytest.raises(InvalidValue, match="G2|G9"):
            apply_operations(first, [missing])


def test_sb_guidance_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    live = tmp_path / "guidance.json"
    write_json(live, {"G0": "初始经验"})
    before = live.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageFull, match="no space"):
        write_json(live, {"G0": "别的"})
    assert live.read_bytes() == before
    assert list(tmp_path.iterdir()) == [live]


def config_with(bf16: object) -> TrainConfig:
    training = {"output_dir": "out", "bf16": bf16}
    return config_from({"model": {"model": "m"}, "custom": {"train_jsonl": "t.jsonl"}, "training": training})


@pytest.mark.parametrize("value", [" YES ", "off", 1, 0, 2, "maybe", []])
def test_cfg_bool_takes_booleans_only(value: object):
    assert config_with(False).training.bf16 is False
    with pytest.raises(ConfigError, match=r"training\.bf16"):
        config_with(value)


def test_ev_region_iou():
    square = Shape(Kind.QUAD, (0, 0, 10, 0, 10, 10, 0, 10))
    assert overlap(Shape(Kind.BBOX, (0, 0, 10, 10)), square) == 1


@pytest.mark.parametrize(("y", "expected"), [(100, 1.0), (300, 0.0)])
def test_ev_tube_iou(y: int, expected: float):
    assert overlap(Shape(Kind.LINE, (100, 100, 900, 100)), Shape(Kind.LINE, (100, y, 900, y))) == expected
