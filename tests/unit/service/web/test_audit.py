"""What the audit log and the access log say about requests."""

import json

import pytest
import structlog

from engine.scripted import ScriptedEngine
from service.platform.audit_log import AuditLog
from service.web.auth import Scope
from service.web.key_file import KeyFile, create_key, revoke_key
from tests.support.service_context import client_of, context_with

MISSION = "挡风板安装检查"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.yaml"


def log_of(context) -> AuditLog:
    return context.web.audit._audit_log


async def test_a_change_of_guidance_is_recorded_with_the_holder_and_the_key(file):
    token = create_key(file, list(Scope), None, name="王工")
    context = context_with(ScriptedEngine(), keys=KeyFile(file))
    async with client_of(context) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        active = (await client.get(f"/missions/{MISSION}/guidance")).json()["version"]
        change = {"expected": active, "rules": [{"text": "挡风板须安装到位"}]}
        answer = await client.put(f"/missions/{MISSION}/guidance", json=change)
        conflict = await client.put(f"/missions/{MISSION}/guidance", json=change)
        assert (answer.status_code, conflict.status_code) == (200, 409)
        await client.get("/stage-b/groups?state=reviewed")
    changed, listed = log_of(context).entries()
    assert {name: changed[name] for name in ("action", "by", "key", "mission", "version", "before")} == {
        "action": "guidance_changed",
        "by": "王工",
        "key": token.split("_")[1],
        "mission": MISSION,
        "version": answer.json()["version"],
        "before": active,
    }
    assert changed["request_id"] == answer.headers["x-request-id"]
    assert (listed["action"], listed["state"], listed["by"]) == ("tickets_listed", "reviewed", "王工")


async def test_the_access_log_has_the_key_and_the_client_but_no_secret(file):
    token = create_key(file, [Scope.CAPTION], None)
    async with client_of(context_with(ScriptedEngine(), keys=KeyFile(file))) as client:
        with structlog.testing.capture_logs() as lines:
            await client.get("/missions", headers={"Authorization": f"Bearer {token}"})
            await client.get("/missions", headers={"Authorization": f"Bearer {token}x"})
    known, unknown = [line for line in lines if line["event"] == "request"]
    assert (known["key"], known["client"], known["status"]) == (token.split("_")[1], "127.0.0.1", 200)
    assert (unknown["key"], unknown["status"]) == (None, 401)
    assert token.split("_", 2)[2] not in json.dumps(lines)


async def test_an_entry_that_cannot_be_written_is_logged_and_counted_and_stops_nothing(monkeypatch):
    context = context_with(ScriptedEngine())

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_of(context), "append", full)
    async with client_of(context) as client:
        with structlog.testing.capture_logs() as lines:
            assert (await client.get("/stage-b/groups")).status_code == 200
        assert "vqc_audit_failures_total 1.0" in (await client.get("/metrics")).text
    [line] = [line for line in lines if line["event"] == "audit_log_unwritable"]
    assert (line["action"], line["log_level"]) == ("tickets_listed", "error")


def test_a_changed_key_file_is_reported_with_the_ids(file):
    first = create_key(file, [Scope.CAPTION], None)
    seen = []
    keys = KeyFile(file, lambda **change: seen.append(change))
    second = create_key(file, [Scope.CAPTION], None)
    keys()
    revoke_key(file, first.split("_")[1])
    keys()
    keys()
    first_id, second_id = first.split("_")[1], second.split("_")[1]
    assert [(change["added"], change["removed"]) for change in seen] == [([second_id], []), ([], [first_id])]
