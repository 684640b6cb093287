"""The key file: read again when it has changed, changed by one writer at a time, and never left in part."""

import asyncio
import multiprocessing
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from engine.scripted import ScriptedEngine
from service.app.http import create_app
from service.platform.errors import Unauthenticated
from service.web.auth import ApiKey, KeyRing, Scope
from service.web.key_file import KeyFile, create_key, read_keys, revoke_key, rotate_key
from tests.support.service_context import client_of, context_with
from tests.support.ticket_store_suite import ACCEPTED, ticket
from vqc.errors import InvalidValue


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.yaml"


def id_of(token: str) -> str:
    return token.split("_")[1]


async def test_a_running_service_accepts_a_new_key_and_rejects_a_removed_one(file):
    first = create_key(file, [Scope.CAPTION], None)
    async with client_of(context_with(ScriptedEngine(), keys=KeyFile(file))) as client:

        async def status(token: str) -> int:
            return (await client.get("/missions", headers={"Authorization": f"Bearer {token}"})).status_code

        assert await status(first) == 200
        second = create_key(file, [Scope.CAPTION], None)
        assert (await status(first), await status(second)) == (200, 200)
        revoke_key(file, id_of(first))
        assert (await status(first), await status(second)) == (401, 200)
        file.write_text("[]")  # an editor, in place
        assert await status(second) == 401


async def test_a_stream_ends_when_its_key_is_revoked(file):
    token = create_key(file, [Scope.STAGE_B], None)
    context = context_with(ScriptedEngine(), keys=KeyFile(file))
    done = await context.tickets.store.create(ticket(), ACCEPTED, None)
    first_event, sent = asyncio.Event(), []
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": f"/stage-b/groups/{done.id}/events", "raw_path": b"", "root_path": "", "query_string": b"",
        "headers": [(b"host", b"vqc.test"), (b"authorization", f"Bearer {token}".encode())],
        "client": ("10.0.0.1", 1), "server": ("vqc.test", 80),
    }  # fmt: skip
    messages = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        return next(messages, None) or await asyncio.Future()

    async def send(message):
        sent.append(message.get("body", b""))
        if b"accepted" in sent[-1]:
            first_event.set()

    stream = asyncio.create_task(create_app(context)(scope, receive, send))
    await asyncio.wait_for(first_event.wait(), 60)
    revoke_key(file, id_of(token))
    await context.tickets.manage.cancel(done.id, None)
    await asyncio.wait_for(stream, 60)
    assert b"finished" not in b"".join(sent)


def test_scopes_and_expiry_change_with_the_file(file):
    token = create_key(file, [Scope.CAPTION], None)
    ring = KeyRing(KeyFile(file))
    [key] = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump([key | {"scopes": ["review", "stage-b"], "name": "王工"}], allow_unicode=True))
    caller = ring.authenticate(f"Bearer {token}")
    assert (caller.scopes, caller.name) == ({Scope.REVIEW, Scope.STAGE_B}, "王工")
    file.write_text(yaml.safe_dump([key | {"expires_at": "2020-01-01T00:00:00Z"}]))
    with pytest.raises(Unauthenticated, match="expired"):
        ring.authenticate(f"Bearer {token}")


def test_a_change_that_leaves_size_and_time_of_the_file_as_they_are_is_seen(file):
    token = create_key(file, [Scope.CAPTION], None)
    keys = KeyFile(file)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text(re.sub(f"'?{id_of(token)}'?", lambda found: "abcdefab".center(len(found[0])), file.read_text()))
    os.utime(file, ns=times)
    assert keys().keys() == {"abcdefab"}


@pytest.mark.parametrize("broken", ["- id: x\n  scopes: [everything]\n", "{{{", "- {id: a", b"\xff\xfe", None])
def test_an_invalid_or_missing_file_leaves_the_keys_as_they_are_until_it_is_valid(file, broken):
    token = create_key(file, [Scope.CAPTION], None)
    keys, good = KeyFile(file), file.read_text()
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    assert keys().keys() == {id_of(token)}
    file.write_text(good)
    other = create_key(file, [Scope.CAPTION], None)
    assert keys().keys() == {id_of(token), id_of(other)}


def test_a_mounted_secret_that_is_switched_by_a_link_is_read_again(tmp_path):
    for name in ("one", "two"):  # as Kubernetes mounts a secret
        (tmp_path / name).mkdir()
        create_key(tmp_path / name / "keys.yaml", [Scope.CAPTION], None)
    (tmp_path / "data").symlink_to("one")
    (tmp_path / "keys.yaml").symlink_to("data/keys.yaml")
    keys = KeyFile(tmp_path / "keys.yaml")
    before = keys().keys()
    (tmp_path / "other").symlink_to("two")
    (tmp_path / "other").replace(tmp_path / "data")
    assert keys().keys() == {key.id for key in read_keys(tmp_path / "two" / "keys.yaml")} != before


def _create_some(path, start) -> None:
    start.wait()
    for _ in range(5):
        create_key(path, [Scope.CAPTION], None)


def test_no_key_is_lost_when_many_processes_write(file):
    old = [create_key(file, [Scope.CAPTION], None) for _ in range(4)]
    context = multiprocessing.get_context("fork")
    start = context.Barrier(9)
    writers = [context.Process(target=_create_some, args=(file, start)) for _ in range(8)]
    for writer in writers:
        writer.start()
    start.wait()
    for token in old:
        revoke_key(file, id_of(token))
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(read_keys(file)) == 8 * 5


def test_a_writer_that_dies_leaves_the_old_file(file, monkeypatch):
    create_key(file, [Scope.CAPTION], None)
    before = file.read_bytes()

    def die(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", die)
        with pytest.raises(KeyboardInterrupt):
            create_key(file, [Scope.CAPTION], None)
    assert file.read_bytes() == before
    create_key(file, [Scope.CAPTION], None)
    assert len(read_keys(file)) == 2


def test_a_change_keeps_the_mode_and_the_target_of_a_link(tmp_path, file):
    create_key(file, [Scope.CAPTION], None)
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    create_key(link, [Scope.CAPTION], None)
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert len(read_keys(file)) == 2


def test_a_rotated_key_keeps_holder_and_scopes_and_the_old_one_ends(file):
    token = create_key(file, [Scope.REVIEW], None, name="王工")
    new = rotate_key(file, id_of(token), timedelta(0))
    [key] = read_keys(file)
    assert (key.id, key.name, key.scopes) == (id_of(new), "王工", {Scope.REVIEW})
    newer = rotate_key(file, id_of(new), timedelta(hours=1))
    ring, later = KeyRing(KeyFile(file)), datetime.now(UTC) + timedelta(hours=2)
    assert {ring.authenticate(f"Bearer {one}").name for one in (new, newer)} == {"王工"}
    assert ring.authenticate(f"Bearer {newer}", now=later).name == "王工"
    with pytest.raises(Unauthenticated, match="expired"):
        ring.authenticate(f"Bearer {new}", now=later)


def test_unknown_ids_and_expired_keys_are_rejected_by_name(file):
    token = create_key(file, [Scope.REVIEW], datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(InvalidValue, match=id_of(token)):
        revoke_key(file, "nothing")
    with pytest.raises(InvalidValue, match="expired"):
        rotate_key(file, id_of(token), timedelta(0))
    file.write_text(file.read_text() * 2)
    with pytest.raises(InvalidValue, match="once"):
        read_keys(file)


def test_a_key_of_an_earlier_version_is_recorded_under_its_id():
    old = ApiKey(id="1a2b3c4d", sha256="0" * 64, scopes=frozenset({Scope.REVIEW}))
    caller = KeyRing([old]).holder("1a2b3c4d")
    assert (caller.actor, caller.name_on_record("Someone else")) == ("1a2b3c4d", "1a2b3c4d")
