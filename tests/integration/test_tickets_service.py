"""The service as a user starts it: one command, real Redis, real worker, tickets over HTTP."""

import asyncio
import json
import math
import signal
import sys
from collections import Counter

import httpx

from tests.support.ports import free_port
from tests.support.service_processes import MISSION, final, service, ticket
from tests.support.stage_b_bench import ROOT


async def test_five_hundred_tickets_none_lost_none_twice(tmp_path):
    async with service(tmp_path, "up", "worker") as (client, _):
        places = asyncio.Semaphore(16)

        async def submitted(n: int) -> str:
            async with places:
                answer = await client.post("/stage-b/groups", json=ticket(n), headers={"Idempotency-Key": f"k{n}"})
                assert answer.status_code == 202, answer.text
                return answer.headers["Location"]

        locations = await asyncio.gather(*(submitted(n) for n in range(500)))
        again = await asyncio.gather(*(submitted(n) for n in range(0, 500, 25)))
        assert set(again) <= set(locations)
        assert len(set(locations)) == 500
        async with asyncio.timeout(120):
            while True:
                page = (await client.get("/metrics")).text
                waiting = [gauge(page, f'vqc_groups{{state="{state}"}}') for state in ("queued", "running")]
                jobs = [gauge(page, f'vqc_queue_jobs{{kind="{kind}"}}') for kind in ("lag", "pending", "delayed")]
                if not any(waiting + jobs):
                    break
                await asyncio.sleep(0.2)
        tickets = Counter()
        for location in locations:
            record = (await client.get(location)).json()
            assert record["state"] in ("decided", "needs_review")
            events = (await client.get(f"{location}/events")).text
            assert events.count("event: finished") == 1
            tickets[record["ticket_id"]] += 1
        assert len(tickets) == 500
        assert gauge(page, "vqc_groups_accepted_total") == 500


async def test_a_stream_that_is_resumed_misses_nothing(tmp_path):
    async with service(tmp_path, "up") as (client, _):
        location = (await client.post("/stage-b/groups", json=ticket(1))).headers["Location"]
        whole = await stream(client, location, None)
        assert (whole[0][1], whole[-1][1]) == ("accepted", "finished")
        for place, (event_id, _) in enumerate(whole):
            rest = await client.get(f"{location}/events", headers={"Last-Event-ID": event_id})
            assert parsed(rest.text) == whole[place + 1 :]
            assert rest.status_code == (204 if place == len(whole) - 1 else 200)


async def test_a_stream_cut_again_and_again_while_it_happens_misses_nothing(tmp_path):
    """Each connection reads one event and is dropped."""
    async with service(tmp_path, "up") as (client, _):
        photos = sorted((ROOT / "deploy" / "demo" / "photos").glob("*.jpg"))
        files = [("photos", (photo.name, photo.read_bytes())) for photo in photos]
        location = (await client.post("/stage-b/groups", data={"mission": MISSION}, files=files)).headers["Location"]
        seen: list[tuple[str, str]] = []
        while True:
            headers = {"Last-Event-ID": seen[-1][0]} if seen else {}
            async with client.stream("GET", f"{location}/events", headers=headers) as response:
                if response.status_code == 204:
                    break
                text = ""
                async for chunk in response.aiter_text():
                    text += chunk
                    if "\n\n" in text:
                        break
                seen += parsed(text)[:1]
        assert seen == await stream(client, location, None)


async def test_everything_stops_together_and_what_waits_is_judged_after(tmp_path):
    async with service(tmp_path, "api") as (client, (api,)):  # takes tickets; nobody judges them yet
        locations = [(await client.post("/stage-b/groups", json=ticket(n))).headers["Location"] for n in range(3)]
        assert {(await client.get(location)).json()["state"] for location in locations} == {"queued"}
        api.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(api.wait(), 120) == 0
    assert not (tmp_path / "state" / "redis" / "redis.sock").exists()
    async with service(tmp_path, "up") as (client, _):
        for location in locations:
            assert (await final(client, location))["state"] in ("decided", "needs_review")


async def test_without_redis_readiness_says_so_and_tickets_get_503_with_a_time(tmp_path):
    nowhere = f"unix://{tmp_path}/nowhere.sock"
    async with service(tmp_path, "api", VQC_REDIS_URL=nowhere) as (client, _):
        health = await client.get("/readyz")
        assert health.status_code == 503
        assert any("the queue does not answer" in reason for reason in health.json()["reasons"])
        refused = await client.post("/stage-b/groups", json=ticket(1))
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:vqc:problem:queue-unavailable")
        assert refused.headers["Retry-After"] == "5"
        page = (await client.get("/metrics")).text
        assert gauge(page, "vqc_queue_up") == 0


async def test_a_worker_tells_how_it_is(tmp_path):
    port = free_port()
    async with (
        service(tmp_path, "api", "worker", VQC_WORKER_PORT=str(port)) as (client, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as worker,
    ):
        location = (await client.post("/stage-b/groups", json=ticket(1))).headers["Location"]
        assert (await final(client, location))["attempts"] == 1
        assert (await worker.get("/readyz")).json() == {"ready": True, "reasons": []}
        assert (await worker.get("/healthz")).status_code == 200
        page = (await worker.get("/metrics")).text
        assert gauge(page, 'vqc_group_attempts_total{end="finished"}') == 1
        assert gauge(page, "vqc_group_wait_seconds_count") == 1


async def test_the_commands_submit_list_show_and_decide(tmp_path):
    async with service(tmp_path, "up") as (client, _):

        async def vqc(*arguments: str) -> tuple[int, str, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "service.cli", *arguments, "--url", str(client.base_url)),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            return process.returncode, out.decode(), err.decode()

        photo = next(iter(sorted((ROOT / "deploy" / "demo" / "photos").glob("*.jpg"))))
        code, _, err = await vqc("stage-b", "submit", str(photo), "--mission", "风板检查")
        assert (code, "did you mean '挡风板安装检查'?" in err) == (2, True)  # the service says so: missions are its own
        submit = ("stage-b", "submit", str(photo), "--mission", MISSION, "--summary", "无关图片", "--json")
        code, out, err = await vqc(*submit)
        record = json.loads(out)
        assert code == {"decided": 0, "needs_review": 3}[record["state"]]
        assert err.splitlines()[0].startswith("accepted")
        assert err.splitlines()[-1].startswith("finished")
        _, out, _ = await vqc("groups", "list", "--state", record["state"])
        assert record["id"] in out
        code, out, _ = await vqc("groups", "review", record["id"], "--verdict", "不通过", "--name", "王工")
        assert (code, "王工: 不通过" in out) == (0, True)
        code, _, err = await vqc("groups", "cancel", record["id"])
        assert (code, "valid after 'reviewed'" in err) == (2, True)
        code, _, err = await vqc("groups", "show", "00")
        assert (code, "Unknown ticket" in err) == (2, True)


async def stream(client: httpx.AsyncClient, location: str, after: str | None) -> list[tuple[str, str]]:
    """Ids and names of the events to the end of the stream."""
    headers = {"Last-Event-ID": after} if after else {}
    return parsed((await client.get(f"{location}/events", headers=headers)).text)


def parsed(text: str) -> list[tuple[str, str]]:
    events = [event for event in text.split("\n\n") if event.startswith("id: ")]
    return [(lines[0].removeprefix("id: "), lines[1].removeprefix("event: ")) for lines in map(str.splitlines, events)]


def gauge(page: str, name: str) -> float:
    """The value, nan where the page has none (the queue did not answer in time)."""
    found = [line for line in page.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].rpartition(" ")[2]) if found else math.nan
