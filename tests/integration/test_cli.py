"""The commands as a user runs them, on the scripted engine."""

import json
import os
import subprocess
import sys

import pytest

from tests.support import photos
from vqc import parser, summary

MISSION = "挡风板安装检查"


def vqc(*arguments, **env) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "service.cli", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("VQC_")} | {"VQC_ENGINE": "scripted"} | env
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def folder(tmp_path):
    """Twelve photos in two groups, one of them broken."""
    for n in range(12):
        path = tmp_path / "photos" / f"group{n % 2}" / f"img{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photos.jpeg((100 + n, 80)) if n != 5 else b"broken")
    (tmp_path / "photos" / "notes.txt").write_text("not a photo")
    return tmp_path / "photos"


def lines_of(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def gbk_named(folder, name):
    """A photo whose name came out of a Windows zip: bytes that are not UTF-8."""
    path = folder / os.fsdecode(name.encode("gbk"))
    path.write_bytes(photos.jpeg((120, 90)))
    return path


def test_stage_a_writes_a_line_per_photo_in_natural_order_and_reports_the_broken_one(folder, tmp_path):
    gbk_named(folder, "照片1.jpg")
    output = tmp_path / "summaries.jsonl"
    ran = vqc("stage-a", folder, "--mission", MISSION, "--output", output)
    assert ran.returncode == 1
    assert "group1/img5" in ran.stderr
    lines = lines_of(output)
    assert [line["image_id"] for line in lines] == [
        *(f"group{g}/img{n}" for g in (0, 1) for n in range(g, 12, 2) if n != 5),
        "照片1",
    ]
    assert all(list(line) == ["image_id", "summary"] for line in lines)
    assert all(summary.parse(line["summary"]).status is summary.Status.PARSED for line in lines)


def test_stage_a_resumes_after_a_kill_and_repeats_nothing(folder, tmp_path):
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"
    vqc("stage-a", folder, "--mission", MISSION, "--output", whole)
    text = whole.read_text("utf-8")
    cut.write_text("".join(text.splitlines(keepends=True)[:4]) + text.splitlines()[4][:9], "utf-8")
    ran = vqc("stage-a", folder, "--mission", MISSION, "--output", cut)
    assert "7 lines written" in ran.stdout
    assert cut.read_text("utf-8") == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mission", "挡风板检查"], "did you mean '挡风板安装检查'"),
        (["--mission", MISSION, "--temperature", "3"], "temperature: 3.0 is not valid; valid: 0 to 2"),
        (["--mission", MISSION, "--top-p", "0"], "top_p"),
        (["--mission", MISSION, "--max-new-tokens", "0"], "max_new_tokens"),
        (["--mission", MISSION, "--engine", "managed"], "VQC_MODEL"),
    ],
)
def test_stage_a_checks_everything_before_anything_loads(folder, tmp_path, arguments, words):
    ran = vqc("stage-a", folder, "--output", tmp_path / "out.jsonl", *arguments)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_stage_a_names_a_bad_folder_and_a_bad_output(folder, tmp_path):
    missing = vqc("stage-a", tmp_path / "nowhere", "--mission", MISSION, "--output", tmp_path / "o.jsonl")
    assert (missing.returncode, "nowhere" in missing.stderr) == (2, True)
    other = tmp_path / "other.jsonl"
    other.write_text('{"something": "else"}\n')
    foreign = vqc("stage-a", folder, "--mission", MISSION, "--output", other)
    assert (foreign.returncode, f"{other}:1" in foreign.stderr) == (2, True)
    (folder / "group0" / "img2.png").write_bytes(photos.encoded(photos.scene()))
    twice = vqc("stage-a", folder, "--mission", MISSION, "--output", tmp_path / "o.jsonl")
    assert (twice.returncode, "same image id" in twice.stderr) == (2, True)


def test_caption_prints_json_and_draws(folder, tmp_path):
    files = [folder / "group0" / "img0.jpg", folder / "group1" / "img5.jpg", folder / "group0" / "img2.jpg"]
    ran = vqc("caption", *files, "--json", "--overlay", tmp_path / "drawn")
    answers = json.loads(ran.stdout)
    assert ran.returncode == 1
    assert [answer["photo_file"] for answer in answers] == list(map(str, files))
    assert answers[1]["problem"]["type"] == "urn:vqc:problem:photo-not-an-image"
    for answer in (answers[0], answers[2]):
        assert parser.parse(json.dumps(answer["caption"], ensure_ascii=False)).status is parser.Status.PARSED
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"img0.overlay.png", "img2.overlay.png"}


def test_caption_prints_readable_lines_and_draws_every_photo_whatever_its_name(folder, tmp_path):
    same = folder / "group1" / "img0.jpg"
    same.write_bytes(photos.jpeg((90, 80)))
    files = [folder / "group0" / "img0.jpg", same, gbk_named(folder, "照片1.jpg")]
    ran = vqc("caption", *files, "--overlay", tmp_path / "drawn")
    assert ran.returncode == 0
    assert "img0.jpg" in ran.stdout
    assert "照片1.jpg" in ran.stdout
    assert "object_1" in ran.stdout
    drawn = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert drawn == {"img0.overlay.png", "img0.2.overlay.png", "照片1.overlay.png"}


def test_keys_and_settings(tmp_path):
    made = vqc("keys", "create", tmp_path / "keys.yaml", "--scope", "caption", "--expires", "2030-01-01")
    assert made.stdout.startswith("vqc_")
    assert "VQC_MAX_IN_FLIGHT=256" in vqc("settings").stdout
    assert json.loads(vqc("settings", "--json").stdout)["engine"] == "scripted"


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"VQC_MAX_IN_FLIHGT": "3"}, "nearest: VQC_MAX_IN_FLIGHT"),
        ({"VQC_MAX_IN_FLIGHT": "none"}, "VQC_MAX_IN_FLIGHT"),
        ({"VQC_HOST": "0.0.0.0"}, "VQC_API_KEYS_FILE"),
        ({"VQC_ENGINE": "external"}, "VQC_ENGINE_URL"),
        ({"VQC_API_KEYS_FILE": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_starts(env, words):
    ran = vqc("api", **env)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
