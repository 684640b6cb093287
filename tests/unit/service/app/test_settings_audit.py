from __future__ import annotations

from pydantic import SecretStr
from structlog.testing import capture_logs

from service.app.settings_audit import log_settings, record_settings
from service.platform.audit_log import AuditLog
from service.platform.settings import Settings, read_settings
from service.web.audit_trail import AuditTrail

SECRETS = [name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)]


def test_every_setting_is_a_debug_line_without_its_secrets() -> None:
    given = {name: SecretStr("redis://:hidden@host/0") for name in SECRETS}
    settings = Settings.model_construct(
        None,
        **given,
        engine_url="http://user:hidden@engine:8000",
        engine_args=["--api-key", "hidden", "--max-num-seqs=8"],
        port=8123,
    )
    with capture_logs() as lines:
        log_settings(settings)
    (line,) = lines
    assert (line["event"], line["log_level"], line["port"]) == ("settings", "debug", 8123)
    assert line.keys() >= Settings.model_fields.keys()
    assert [line[name] for name in SECRETS] == ["set"] * len(SECRETS)
    assert line["engine_args"][-1] == "--max-num-seqs=8"
    assert "hidden" not in str(line)


def test_a_secret_that_is_not_set_is_none() -> None:
    with capture_logs() as lines:
        log_settings(Settings.model_construct())
    assert {lines[0][name] for name in SECRETS} == {None}


def test_every_setting_with_a_telling_name_is_a_secret() -> None:
    telling = [name for name in Settings.model_fields if any(word in name for word in ("secret", "password", "token"))]
    plain = set(telling) - set(SECRETS)
    assert plain <= {"secrets_dir", "caption_max_new_tokens", "stage_a_max_new_tokens"}


def test_a_start_with_other_settings_is_recorded_without_secrets(tmp_path):
    log = AuditLog(tmp_path / "audit")
    trail = AuditTrail(log, lambda: None)
    engine = {"engine_url": "http://user:hunter2@engine:8000", "engine_args": "--api-key hunter2"}
    for changed in ({}, {}, {"port": 9, "redis_url": "redis://:hunter2@redis:6379/0", **engine}):
        record_settings(read_settings(state_dir=tmp_path, **changed), trail, "api")
    first, second = log.entries()
    assert first["settings"] == {"state_dir": ["output/state", str(tmp_path)]}
    assert second["settings"]["port"] == [8080, 9]
    assert second["settings"]["redis_url"][1].startswith("secret ")
    assert "hunter2" not in "".join(path.read_text() for path in (tmp_path / "audit").iterdir())
