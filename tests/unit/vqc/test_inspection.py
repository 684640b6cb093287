"""An inspection is read from a directory; a bad one is rejected in a sentence that names file, field and what is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.inspections import TOWER_LIGHT, copy_of_default
from vqc.errors import InvalidValue
from vqc.inspection import load_inspection


def replaced(directory: Path, name: str, old: str, new: str) -> None:
    path = directory / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("inspection.yaml", "language: zh", "langauge: zh", r"langauge.*nearest: language"),
        ("inspection.yaml", "language: zh", "language: fr", r"language: 'fr'.*'zh' or 'en'"),
        ("inspection.yaml", "name: telecom", "name: Tele com", r"inspection\.yaml: name"),
        ("inspection.yaml", "version: 1", "version: 0", r"version: 0"),
        ("inspection.yaml", "version: 1", "version: 1\nversion: 2", r"'version' stands twice"),
        ("inspection.yaml", "name: telecom", "name: &a telecom\nagain: *a", r"alias \(\*a\) is not supported"),
        ("missions.yaml", "挡风板安装检查", "RRU线缆", r"name: 'RRU线缆'.*one mission only"),
        ("missions.yaml", "挡风板安装检查", "挡" * 65, r"\[3\]\.name.*at most 64 characters"),
        ("missions.yaml", "挡风板安装检查", "挡风板/检查", r"\[3\]\.name"),
        (
            "missions.yaml",
            "positive: [捆扎整齐]",
            "positive: [散乱]",
            r"key_items\[2\].*positive or negative, not both: 散乱",
        ),
        ("missions.yaml", "key_items:", "key_item:", r"\[0\]\.key_item.*nearest: key_items"),
        ("missions.yaml", "synonyms: [BBU]", "synonym: [BBU]", r"synonym: .*nearest: synonyms"),
        ("prompts.yaml", "任务重点：{focus}", "任务重点", r"stage_a\.user.*lacks \{focus\}"),
        ("prompts.yaml", "通过条件：{requirement}", "通过条件：{condition}", r"stage_b\.user.*lacks \{requirement\}"),
        (
            "prompts.yaml",
            "任务：{mission}",
            "任务：{mission}{site}",
            r"\{site\} is no placeholder.*\{mission\}, \{focus\}",
        ),
        ("prompts.yaml", "任务：{mission}", "任务：{mission", r"stage_a\.user.*\{\{"),
        ("prompts.yaml", "question: 请给出结论。", "questions: 请", r"stage_b\.questions.*nearest: question"),
    ],
)
def test_a_bad_inspection_is_rejected_in_a_sentence(tmp_path, name, old, new, message):
    directory = copy_of_default(tmp_path / "own")
    replaced(directory, name, old, new)
    with pytest.raises(InvalidValue, match=rf"{name}.*{message}|{message}"):
        load_inspection(directory)


def test_a_file_outside_the_directory_is_not_read(tmp_path):
    directory = copy_of_default(tmp_path / "own")
    (directory / "prompts.yaml").rename(tmp_path / "prompts.yaml")
    (directory / "prompts.yaml").symlink_to(tmp_path / "prompts.yaml")
    with pytest.raises(InvalidValue, match="inside the inspection's directory"):
        load_inspection(directory)


@pytest.mark.parametrize("name", ["inspection.yaml", "missions.yaml", "prompts.yaml"])
def test_a_missing_or_huge_or_binary_file_is_named(tmp_path, name):
    directory = copy_of_default(tmp_path / "own")
    for content in (b"\xff\xfe", b"#" * 2**21, b"[" * 5000, b"- - - x: [", b"7"):
        (directory / name).write_bytes(content)
        with pytest.raises(InvalidValue, match=name):
            load_inspection(directory)
    (directory / name).unlink()
    with pytest.raises(InvalidValue, match=name):
        load_inspection(directory)


def test_the_digest_changes_with_any_part(tmp_path):
    digests = {load_inspection(copy_of_default(tmp_path / "same")).digest}
    for number, (name, old, new) in enumerate(
        [
            ("inspection.yaml", "version: 1", "version: 2"),
            ("prompts.yaml", "结论", "结果"),
            ("missions.yaml", "捆扎整齐", "整齐"),
        ]
    ):
        directory = copy_of_default(tmp_path / str(number))
        replaced(directory, name, old, new)
        digests.add(load_inspection(directory).digest)
    digests.add(load_inspection(copy_of_default(tmp_path / "more", further=TOWER_LIGHT)).digest)
    assert len(digests) == 5
    assert load_inspection(copy_of_default(tmp_path / "again")).digest in digests
