"""An engine alone becomes vLLM with the profile's flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import serve


def test_it_becomes_vllm_on_a_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr("os.execve", lambda path, command, environment: became.append((command, environment)))
    more = ["--profile", "cpu", "--drafts", "5", "--max-num-seqs", "7"]
    serve.main([str(tmp_path), "--name", "champion", "--host", "0.0.0.0", *more])
    [(command, environment)] = became
    words = " ".join(command)
    for expected in ("--host 0.0.0.0 --port 8000", "--served-model-name champion", "--shutdown-timeout 60"):
        assert expected in words
    assert '"num_speculative_tokens": 5' in words
    assert "--uds" not in words
    assert command[-2:] == ["--max-num-seqs", "7"]
    assert environment["HF_HUB_OFFLINE"] == "1"


def test_answers_name_the_digest_that_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    became: list[list[str]] = []
    monkeypatch.setattr("os.execve", lambda path, command, environment: became.append(command))
    serve.main([str(tmp_path), "--name", "champion", "--digest", "sha256:d", "--profile", "cpu", "--max-num-seqs", "7"])
    assert became[0][-5:] == ["--served-model-name", "champion@sha256:d", "champion", "--max-num-seqs", "7"]


def test_a_directory_without_a_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        serve.main([str(tmp_path)])
    assert f"{str(tmp_path)!r} is not a checkpoint" in capsys.readouterr().err
