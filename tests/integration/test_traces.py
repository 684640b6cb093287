"""One trace from the request through the queue to the engine's socket, and log lines and exemplars that lead to it."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.support import photos
from tests.support.collector import Collector, collecting
from tests.support.service_processes import MISSION, ROOT, final, service

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


async def complete(collector: Collector, *names: str) -> None:
    async with asyncio.timeout(120):
        while not set(names) <= {span.name for span in collector.trace(TRACE)}:
            await asyncio.sleep(0.1)


async def test_one_trace_from_the_request_through_the_queue_to_the_engine(tmp_path):
    uds = tmp_path / "engine.sock"
    engine = await asyncio.create_subprocess_exec(
        sys.executable, "tests/support/fake_vllm.py", "--uds", str(uds), cwd=ROOT
    )
    with collecting() as collector:
        given = {"VQC_TRACES": collector.url, "VQC_ENGINE": "external", "VQC_ENGINE_URL": f"unix://{uds}"}
        async with service(tmp_path, "api", "worker", **given) as (client, _):
            async with asyncio.timeout(120):
                while (await client.get("/readyz")).status_code != 200:
                    await asyncio.sleep(0.05)
            files = [("photos", ("a.jpg", photos.jpeg()))]
            answer = await client.post("/stage-b/groups", data={"mission": MISSION}, files=files, headers=CALLER)
            await final(client, answer.headers["Location"])
            await complete(collector, "POST /stage-b/groups", "judge", "stage-a", "stage-b", "engine")
            accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
            page = (await client.get("/metrics", headers=accept)).text
    engine.terminate()
    await engine.wait()
    by_id = {span.span_id: span for span in collector.trace(TRACE)}

    def lineage(name: str) -> list[str]:
        """The span of this name and what it is within, up to the caller."""
        span = next(span for span in by_id.values() if span.name == name)
        names = [f"{span.service} {span.name}"]
        while (parent := by_id.get(span.parent_id)) is not None:
            span = parent
            names.append(f"{span.service} {span.name}")
        return [*names, span.parent_id]

    assert lineage("POST /stage-b/groups") == ["vqc-api POST /stage-b/groups", PARENT]
    assert lineage("stage-b")[:2] == ["vqc-worker stage-b", "vqc-worker judge"]
    assert lineage("stage-b")[-2:] == ["vqc-api POST /stage-b/groups", PARENT]
    inside = {by_id[span.parent_id].name for span in by_id.values() if span.name == "engine"}
    assert inside == {"stage-a", "stage-b"}
    assert f'# {{trace_id="{TRACE}"}}' in page
    for log, event in (("api.log", "request"), ("worker.log", "ticket_finished")):
        lines = [json.loads(line) for line in (tmp_path / log).read_text("utf-8").splitlines() if line.startswith("{")]
        assert TRACE in {line.get("trace_id") for line in lines if line["event"] == event}


async def test_spans_go_to_a_file_and_a_callers_no_is_obeyed(tmp_path):
    spans = tmp_path / "spans.jsonl"
    async with service(tmp_path, "up", VQC_TRACES=str(spans), VQC_STAGE_B="off") as (client, _):
        files = {"photo": ("a.jpg", photos.jpeg())}
        await client.post("/caption", files=files)
        await client.post("/caption", files=files, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        await client.get("/healthz")
    found = [json.loads(line) for line in spans.read_text("utf-8").splitlines()]
    assert sorted(span["name"] for span in found) == ["POST /caption", "read photo"]
    assert len({span["context"]["trace_id"] for span in found}) == 1
