"""What people decide comes back as labels: submitted, reviewed, exported, and read by the loop and its calibration."""

import json
import subprocess
import sys

import yaml

from tests.support.service_processes import MISSION, final, service
from tests.support.stage_b_bench import ROOT
from tests.support.stage_b_commands import CONFIG, environment


def vqc(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "service.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment())


async def test_decisions_become_labels_that_the_loop_and_calibration_read(tmp_path):
    line = "挡风板/华为,显示完整,安装方向错误×1"
    labels = tmp_path / "labels.jsonl"
    async with service(tmp_path, "up") as (client, _):
        located = []
        for n in range(6):
            photos = [{"summary": "无关图片"}] if n else [{"summary": "无关图片"}, {"summary": line}]
            ticket = {"mission": MISSION, "ticket_id": f"QC-{n:04}", "photos": photos}
            located.append((await client.post("/stage-b/groups", json=ticket)).headers["Location"])
        for n, location in enumerate(located[:5]):
            judged = await final(client, location)
            verdict = "不通过" if n % 2 else "通过"
            review = {"verdict": verdict, "name": "王工", "note": "看过", "revision": judged["revision"]}
            answer = await client.post(f"{location}/review", json=review)
            assert answer.status_code == 200, answer.text
            late = await client.post(f"{location}/review", json=review)
            assert (late.status_code, late.json()["type"]) == (409, "urn:vqc:problem:review-conflict")
        back = await client.post(f"{located[4]}/review", json={"verdict": None, "name": "王工"})
        assert back.json()["verdict"] is None
        ran = vqc("groups", "export-labels", labels, "--url", str(client.base_url), "--json")
        assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    lines = [json.loads(one) for one in labels.read_text("utf-8").splitlines()]
    assert told["tickets"] == len(lines) == 4
    assert [(one["group_id"], one["label"]) for one in lines] == [
        (f"QC-{n:04}", "不通过" if n % 2 else "通过") for n in range(4)
    ]
    assert lines[0]["per_image"] == {"image_1": "无关图片", "image_2": line}
    assert told["overruled"] == sum(one["machine_verdict"] != one["label"] for one in lines) > 0

    tree = yaml.safe_load(CONFIG.read_text("utf-8")) | {"stage_a_paths": str(labels)}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), "utf-8")
    ran = vqc("stage-b", "run", tmp_path / "config.yaml", "--output", tmp_path / "out", "--engine", "scripted")
    assert ran.returncode == 0, ran.stderr
    (run,) = (tmp_path / "out").iterdir()
    assert json.loads((run / "ingest.json").read_text("utf-8"))["rejected"] == []
    selections = [json.loads(one) for one in (run / MISSION / "selections.jsonl").read_text("utf-8").splitlines()]
    found = {one["group_id"]: one["result"]["label"] for one in selections}
    assert found == {one["group_id"]: one["label"] for one in lines}
    ran = vqc("stage-b", "calibrate", run)
    assert ran.returncode == 0, ran.stderr
