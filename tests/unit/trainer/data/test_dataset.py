"""Samples depend on (seed, epoch, index) alone and say what the service would be asked."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.support.training_records import PHOTO, TICKET, WriteRecords
from trainer.config import config_from
from trainer.data import DataError, Example, SampleDataset, Task, conversation_text, dataset_from_config
from trainer.data.images import ImageRef, canonical_pixels
from trainer.data.sampling import photo_task
from trainer.order import epoch_order
from vqc import codec, parser, verdict
from vqc import summary as stage_a
from vqc.geometry import Kind
from vqc.image import canonical_photo
from vqc.missions import mission_named
from vqc.prompts import dense_prompt, stage_a_prompt, stage_b_prompt

OPS = [
    {"name": "hflip"},
    {"name": "rotate", "params": {"max_deg": 20.0}},
    {"name": "expand_to_fit_affine"},
    {"name": "random_crop", "params": {"min_objects": 1, "skip_if_line": False}},
    {"name": "color_jitter"},
    {"name": "pad_to_multiple"},
]


def made(path: Path, ops: list[dict[str, object]] | None = None, **custom: object) -> SampleDataset:
    augmentation = {"ops": ops} if ops else {"enabled": False}
    config = config_from(
        {
            "model": {"model": "tiny"},
            "training": {"output_dir": "o", "seed": 7},
            "custom": {"train_jsonl": str(path), "val_jsonl": str(path), "augmentation": augmentation, **custom},
        }
    )
    return dataset_from_config(config, "train")


def content(example: Example) -> tuple[object, ...]:
    return (example.task, example.prompt, example.answer, example.objects, [i.tobytes() for i in example.images])


def test_a_dense_sample_is_what_the_service_asks_and_the_codec_writes(records: WriteRecords) -> None:
    example = made(records(PHOTO))[0]
    assert example.task is Task.DENSE
    assert example.prompt == dense_prompt()
    assert example.sizes_wh == ((128, 96),)
    assert example.images[0].mode == "RGB"
    caption = parser.parse(example.answer).caption
    assert caption is not None
    assert codec.render(caption) == example.answer
    assert example.answer.startswith('{"object_1": {"bbox_2d": [78, 104, 312, 417], "desc": "BBU设备/华为,显示完整"}')
    assert [message["role"] for message in example.messages()] == ["system", "user", "assistant"]


def test_a_photo_without_objects_answers_an_empty_caption(records: WriteRecords) -> None:
    assert made(records({**PHOTO, "objects": [], "summary": "无关图片"}))[0].answer == "{}"


def test_a_stage_a_sample_has_its_mission_or_draws_one(records: WriteRecords) -> None:
    path = records({**PHOTO, "mission": "BBU接地线检查"}, *[PHOTO] * 20)
    dataset = made(path, use_summary=True)
    own = dataset.example(0, 0)
    assert own.task is Task.STAGE_A
    assert own.prompt == stage_a_prompt(mission_named("BBU接地线检查"))
    assert own.answer == PHOTO["summary"]
    drawn = {dataset.example(index, 0).prompt.after for index in range(1, 21)}
    assert len(drawn) > 3
    assert [dataset.example(5, epoch).prompt for epoch in range(3)] == [
        dataset.example(5, epoch).prompt for epoch in range(3)
    ]


def test_a_ticket_sample_is_the_services_stage_b_prompt(records: WriteRecords) -> None:
    example = made(records({**TICKET, "guidance": {"G0": "螺丝缺失则不通过"}}))[0]
    assert example.task is Task.VERDICT
    assert example.prompt == stage_b_prompt(
        mission_named("挡风板安装检查"), ["BBU设备×1", "无关图片"], {"G0": "螺丝缺失则不通过"}
    )
    assert len(example.images) == 2
    outcome = verdict.parse(example.answer)
    assert outcome.answer is not None
    assert verdict.render(outcome.answer) == example.answer == "不通过\n理由: 挡风板缺失"


def test_ticket_files_of_the_scene_generator_are_read(records: WriteRecords) -> None:
    ticket = {k: v for k, v in TICKET.items() if k not in ("task", "images", "verdict")}
    example = made(records({**ticket, "photos": ["a.png"], "label": "通过", "group_id": "QC-1"}))[0]
    assert example.answer.startswith("通过\n")
    assert len(example.images) == 1


def test_a_chat_sample_is_taken_as_it_is(records: WriteRecords) -> None:
    record = {
        "messages": [
            {"role": "system", "content": "你是助手"},
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "a.png"}}, {"type": "text", "text": "看"}],
            },
            {"role": "assistant", "content": "好"},
        ]
    }
    example = made(records(record), OPS)[0]
    assert (example.prompt.system, example.prompt.after, example.answer) == ("你是助手", "看", "好")
    assert example.sizes_wh == ((128, 96),)


def test_same_seed_epoch_and_index_give_the_same_bytes_in_any_order_of_calls(records: WriteRecords) -> None:
    path = records(*[PHOTO] * 6, TICKET)
    pairs = [(record, epoch) for record in range(7) for epoch in range(3)]
    first = made(path, OPS, summary_ratio=0.5)
    straight = {pair: content(first.example(*pair)) for pair in pairs}
    random.Random(0).shuffle(pairs)
    second = pickle.loads(pickle.dumps(made(path, OPS, summary_ratio=0.5)))
    assert {pair: content(second.example(*pair)) for pair in pairs} == straight
    assert len({repr(value) for value in straight.values()}) > 15


def test_another_process_gives_the_same_bytes(records: WriteRecords) -> None:
    path = records(*[PHOTO] * 3)
    code = f"""
import hashlib, pathlib
from trainer.config import config_from
from trainer.data import dataset_from_config
config = config_from({{"model": {{"model": "m"}}, "training": {{"output_dir": "o"}}, "custom": {{
    "train_jsonl": {str(path)!r}, "augmentation": {{"ops": {OPS!r}}}}}}})
example = dataset_from_config(config, "train").example(2, 5)
print(hashlib.sha256(repr(example.answer).encode() + example.images[0].tobytes()).hexdigest())
import sys; assert "torch" not in sys.modules
"""
    runs = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "ab"
    }
    assert len(runs) == 1


def test_an_outline_tells_everything_but_the_pixels(records: WriteRecords) -> None:
    dataset = made(records(*[PHOTO] * 5, TICKET), OPS, summary_ratio=0.5)
    for epoch in range(4):
        dataset.set_epoch(epoch)
        for index in range(6):
            outline, example = dataset.outline(index), dataset[index]
            assert (outline.answer, outline.prompt, outline.sizes_wh) == (
                example.answer,
                example.prompt,
                example.sizes_wh,
            )
            assert dataset.sizes_wh(index) == tuple(image.size for image in example.images)


def test_every_epoch_has_an_order_of_its_own_and_shows_every_record_once(records: WriteRecords) -> None:
    dataset = made(records(*[PHOTO] * 12))
    orders = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        orders.append([dataset[index].record for index in range(12)])
    assert all(sorted(order) == list(range(12)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert orders[1] == epoch_order(7, 1, 12, "order")


def test_mixed_mode_follows_its_ratio_and_changes_with_the_epoch() -> None:
    tasks = [photo_task(3, 0, index, 0.25) for index in range(4000)]
    assert tasks.count(Task.STAGE_A) / 4000 == pytest.approx(0.25, abs=0.03)
    again = [photo_task(3, 1, index, 0.25) for index in range(4000)]
    assert tasks != again


def test_a_record_may_fix_its_task(records: WriteRecords) -> None:
    assert made(records({**PHOTO, "task": "stage_a"}))[0].task is Task.STAGE_A
    assert made(records({**PHOTO, "task": "dense"}), use_summary=True)[0].task is Task.DENSE
    only_line = {"images": ["a.png"], "summary": "BBU设备×1"}
    assert made(records(only_line))[0].task is Task.STAGE_A


def test_evaluation_data_is_in_order_and_not_augmented(records: WriteRecords) -> None:
    path = records(*[PHOTO] * 5)
    config = config_from(
        {
            "model": {"model": "m"},
            "training": {"output_dir": "o"},
            "custom": {"train_jsonl": str(path), "val_jsonl": str(path), "augmentation": {"ops": OPS}},
        }
    )
    dataset = dataset_from_config(config, "val")
    dataset.set_epoch(3)
    assert [dataset[index].record for index in range(5)] == [0, 1, 2, 3, 4]
    assert dataset[0].sizes_wh == ((128, 96),)
    assert dataset[0].telemetry is None


def test_limits_take_the_first_records(records: WriteRecords) -> None:
    assert len(made(records(*[PHOTO] * 5), sample_limit=2)) == 2


def test_a_line_follows_a_flipped_photo(records: WriteRecords) -> None:
    left, right = {"bbox_2d": [5, 10, 20, 30], "desc": "螺丝"}, {"bbox_2d": [90, 10, 110, 30], "desc": "标签/5G"}
    record = {**PHOTO, "objects": [left, right], "summary": "螺丝×1，标签×1"}
    flip = [{"name": "hflip", "params": {"prob": 1.0}}]
    assert made(records(record), flip, use_summary=True)[0].answer == "标签×1，螺丝×1"
    remark = {**record, "summary": "螺丝×1，标签×1，备注: 左侧遮挡"}
    kept = made(records(remark), flip, use_summary=True)[0]
    assert kept.answer == remark["summary"]
    assert kept.telemetry is not None
    assert kept.telemetry.skips == {"layout": 1}


def test_a_cropped_line_counts_what_is_left_and_says_what_is_partial(records: WriteRecords) -> None:
    crop = [{"name": "random_crop", "params": {"min_objects": 0, "skip_if_line": False, "scale": [0.3, 0.6]}}]
    dataset = made(records(PHOTO), crop, use_summary=True)
    for epoch in range(20):
        example = dataset.example(0, epoch)
        summary = stage_a.parse(example.answer).summary
        assert summary is not None
        assert sum(count for _, count in summary.items) == len(example.objects)
        partial = any("只显示部分" in item.desc for item in example.objects)
        assert partial == ("只显示部分" in example.answer)


def test_labels_follow_a_flip_into_the_answer(records: WriteRecords) -> None:
    example = made(records(PHOTO), [{"name": "hflip", "params": {"prob": 1.0}}])[0]
    caption = parser.parse(example.answer).caption
    assert caption is not None
    boxes = [item.shape.xy for item in caption.objects if item.shape.kind is Kind.BBOX]
    assert boxes == [(round((128 - 40) / 128 * 1000), 104, round((128 - 10) / 128 * 1000), 417)]


def test_a_broken_record_raises_with_its_place(records: WriteRecords) -> None:
    with pytest.raises(DataError, match=r"data.jsonl:2: json"):
        made(records(PHOTO, "{")).example(1, 0)
    with pytest.raises(DataError, match=r"data.jsonl:1: image-unreadable"):
        made(records({**PHOTO, "images": ["gone.png"]}))[0]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "LA", "I;16"])
def test_pixels_are_the_services(tmp_path: Path, mode: str) -> None:
    """Law 2: one canonical image, whatever the file."""
    path = tmp_path / "x.png"
    noise = Image.effect_noise((40, 24), 90)
    picture = Image.merge("RGBA", [noise] * 3 + [noise]) if mode == "RGBA" else noise.convert(mode)
    picture.save(path)
    assert canonical_pixels(ImageRef(path=path)).tobytes() == canonical_photo(path.read_bytes()).decode().tobytes()


def test_turned_photos_are_the_services(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.effect_noise((40, 24), 90).convert("RGB").save(tmp_path / "x.jpg", exif=exif)
    data = (tmp_path / "x.jpg").read_bytes()
    assert canonical_pixels(ImageRef(data=data)).tobytes() == canonical_photo(data).decode().tobytes()


def test_a_conversation_is_readable(records: WriteRecords) -> None:
    text = conversation_text(made(records(PHOTO))[0])
    assert "# dense from" in text
    assert "<image 1: 128 × 96 px>" in text
    assert '{"object_1"' in text
