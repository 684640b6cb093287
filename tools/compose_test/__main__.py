"""Starts the compose file, uses it as the README does, stops it, and checks that its data survives."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from tools.compose_test.daemon import ROOT, WORK, build_images, daemon, docker, in_namespaces, prepare, run, say

SERVICES = ("secrets", "valkey", "engine", "api", "worker", "prometheus")
"""All but Grafana, whose image can be neither pulled nor built here."""
PHOTOS = ("rack.jpg", "rru.jpg", "odf.jpg")
API, PROMETHEUS = "http://127.0.0.1:8080", "http://127.0.0.1:9090"


def main() -> None:
    """Prepares, then runs ``inside`` in new namespaces. ``KEEP=1`` keeps the daemon's images for the next run."""
    if os.geteuid() != 0:
        sys.exit("test-compose needs root: it starts a Docker daemon")
    if sys.argv[1:] == ["inside"]:
        inside()
        return
    prepare()
    code = in_namespaces(sys.executable, "-m", "tools.compose_test", "inside")
    if not os.environ.get("KEEP"):
        shutil.rmtree(WORK / "data", ignore_errors=True)
    sys.exit(code)


def inside() -> None:
    """The test, inside its namespaces."""
    with daemon():
        build_images()
        for name in ("vqc/service:0.1.0", "vqc/engine-cpu:0.1.0", "vqc/trainer:0.1.0"):
            size = int(docker("image", "inspect", "-f", "{{.Size}}", name)) - int(
                docker("image", "inspect", "-f", "{{.Size}}", "vqc-test/base")
            )
            say(f"{name} is {size / 1e6:.0f} MB on top of its base")
        check_gpu()
        check_trainer()
        docker("compose", "down", "--volumes", "--remove-orphans")
        try:
            first = first_life()
            docker("compose", "down")
            say("stopped; the volumes stay")
            second_life(first)
            docker("compose", "stop")
            page_command("compose backup")
            docker("compose", "down", "--volumes")
            say("backed up; stopped, and the volumes removed")
            page_command("compose restore")
            third_life(first)
        except SystemExit:
            print(docker("compose", "ps", "--all"), docker("compose", "logs", "--tail", "40"), sep="\n")
            raise
        finally:
            docker("compose", "down", "--volumes")
    say("passed")


def first_life() -> dict[str, Any]:
    """A first start, a caption and a ticket; returns the ticket's final record."""
    up()
    photo = f"photo=@deploy/demo/photos/{PHOTOS[0]}"
    caption = curl("-F", photo, f"{API}/caption")
    expect(caption["status"] == "parsed" and caption["caption"], "a caption with objects", caption)
    say(
        f"caption: {len(caption['caption'])} objects by {caption['model']['alias']}, e.g. {caption['caption']['object_1']}"
    )
    photos = [word for name in PHOTOS for word in ("-F", f"photos=@deploy/demo/photos/{name}")]
    ticket = curl("-F", "mission=挡风板安装检查", *photos, f"{API}/stage-b/groups")
    record = wait_final(ticket["id"])
    expect(record["state"] in ("decided", "needs_review"), "a final record", record)
    say(f"ticket {record['id']}: {record['state']}, {record['verdict']}, vote share {record['vote_share']}")
    check_targets()
    check_hardening()
    return record


def second_life(before: dict[str, Any]) -> None:
    """A restart: the ticket's record and Prometheus' samples are still there, and a new ticket is judged."""
    up()
    expect(curl(f"{API}/stage-b/groups/{before['id']}") == before, "the unchanged record of the ticket", before)
    samples = curl("-G", "--data-urlencode", 'query=count_over_time(up{job="api"}[1h])', f"{PROMETHEUS}/api/v1/query")
    say(f"the ticket is unchanged; Prometheus has {samples['data']['result'][0]['value'][1]} scrapes of the API")
    after = wait_final(
        curl("-F", "mission=挡风板安装检查", "-F", f"photos=@deploy/demo/photos/{PHOTOS[1]}", f"{API}/stage-b/groups")[
            "id"
        ]
    )
    expect(after["finished_at"] is not None, "a second ticket's final record", after)
    say(f"a second ticket: {after['state']}, {after['verdict']}")


def third_life(before: dict[str, Any]) -> None:
    """A start from the backup: the first ticket's record is there."""
    up()
    expect(curl(f"{API}/stage-b/groups/{before['id']}") == before, "the unchanged record of the ticket", before)
    say("restored: the first ticket is unchanged")


def page_command(name: str) -> None:
    """Runs a command of docs/operations.md; its ``backup`` is a folder of this test."""
    page = (ROOT / "docs" / "operations.md").read_text()
    [block] = re.findall(rf"<!-- tested: {name} -->\n```sh\n(.*?)```", page, re.DOTALL)
    (WORK / "backup").mkdir(exist_ok=True)
    run("bash", "-euc", f"cd {WORK}; {block}")


def check_gpu() -> None:
    """The parts of ``deploy/compose/gpu.yml`` that work without a GPU: the file, fetching the alias, the entry point."""
    files = ["compose", "-f", "docker-compose.yml", "-f", "deploy/compose/gpu.yml", "--profile", "registry"]
    docker(*files, "config", "-q")
    registry = WORK / "registry"
    push = Path(sys.executable).with_name("vqc-registry")
    run(push, "push", "deploy/demo/model", "--alias", "champion", "--registry", registry)
    for _ in range(2):  # at the first start and at a later one
        fetched = docker(*files, "run", "--rm", "--no-deps", "model")
        expect(fetched.split()[-1] == "/models/current", "the directory that the alias was fetched to", fetched)
    say("gpu.yml: the alias champion was fetched from a registry, twice")
    gpu = ["build", "-q", "-f", "deploy/images/engine-gpu.Dockerfile", "--build-arg", "BASE=vqc-test/base"]
    docker(*gpu, "-t", "vqc-test/engine-gpu", ".")
    help_text = docker("run", "--rm", "--read-only", "--network", "none", "vqc-test/engine-gpu", "--help")
    expect("Serve a checkpoint" in help_text, "the engine's help", help_text)
    say("gpu.yml is valid; the image's entry point runs on a bare Python")


def check_trainer() -> None:
    """The trainer's image trains and exports the smoke recipe, without a network and with a read-only root."""
    locked = ["--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/var/lib/vqc:uid=10001"]
    export = "vqc-train export output/smoke/checkpoint-6 output/merged; ls output/merged"
    recipe = f"vqc-train run /opt/vqc/configs/smoke.yaml; {export}"
    output = docker("run", *locked, "--entrypoint", "sh", "vqc/trainer:0.1.0", "-ec", recipe)
    expect("vqc_manifest.json" in output, "an exported model", output)
    say("the trainer's image ran the smoke recipe and exported its last checkpoint")


def up() -> None:
    """``docker compose up --wait``: all services are healthy."""
    began = time.monotonic()
    docker("compose", "up", "--detach", "--wait", "--wait-timeout", "600", "--no-build", "--pull", "never", *SERVICES)
    say(f"up and healthy after {time.monotonic() - began:.0f} s")
    print(docker("compose", "ps", "--format", "table {{.Service}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}"), flush=True)


def check_targets() -> None:
    """Every target of Prometheus is up."""
    deadline = time.monotonic() + 60
    while True:
        targets = curl(f"{PROMETHEUS}/api/v1/targets")["data"]["activeTargets"]
        state = {target["labels"]["job"]: target["health"] for target in targets}
        if {"api", "worker"} <= state.keys() and set(state.values()) == {"up"}:
            say(f"Prometheus targets: {state}")
            return
        expect(
            time.monotonic() < deadline, "every Prometheus target up", {t["scrapeUrl"]: t["lastError"] for t in targets}
        )
        time.sleep(1)


def check_hardening() -> None:
    """The API's container has no torch, is not root, and can write only to its volume and /tmp."""
    output = docker(
        "compose", "exec", "api", "python3", "-c",
        "import importlib.util as u, os; print(u.find_spec('torch'), os.getuid(), os.access('/opt/vqc', os.W_OK), "
        "os.statvfs('/').f_flag & os.ST_RDONLY)",
    )  # fmt: skip
    expect(output.split() == ["None", "10001", "False", "1"], "no torch, uid 10001, a read-only root", output)
    say("the API's container has no torch, is uid 10001 and cannot write to its root")


def wait_final(group_id: str) -> dict[str, Any]:
    """Waits for the ticket's final record."""
    deadline = time.monotonic() + 300
    while not (record := curl(f"{API}/stage-b/groups/{group_id}"))["finished_at"]:
        expect(time.monotonic() < deadline, "a final record within 300 s", record)
        time.sleep(1)
    return record


def curl(*arguments: str) -> Any:
    """The JSON that curl receives."""
    return json.loads(run("curl", "--fail-with-body", "--silent", "--show-error", "--max-time", "120", *arguments))


def expect(condition: object, what: str, found: object) -> None:
    """Ends the test unless the condition is true."""
    if not condition:
        sys.exit(f"expected {what}; found {found!r:.2000}")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
