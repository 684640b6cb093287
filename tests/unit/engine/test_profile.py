"""Settings become the flags and variables that each hardware needs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from engine import profile
from engine.profile import EngineSettings, vllm_command, vllm_environment

SOCKET = Path("/run/e.sock")


def flag(command: list[str], name: str) -> str:
    return command[command.index(name) + 1]


def test_a_cpu_engine_runs_the_server_module_eagerly() -> None:
    command = vllm_command(EngineSettings(model=Path("/m"), served_name="qc", profile="cpu"), SOCKET)
    assert command[:5] == [sys.executable, "-m", "engine.cpu_server", "--model", "/m"]
    assert "--enforce-eager" in command
    assert flag(command, "--uds") == "/run/e.sock"
    assert flag(command, "--served-model-name") == "qc"
    assert flag(command, "--scheduling-policy") == "priority"
    assert json.loads(flag(command, "--limit-mm-per-prompt")) == {"image": 16, "video": 0}
    assert json.loads(flag(command, "--structured-outputs-config")) == {"backend": "xgrammar"}


OLD = frozenset({"sse4_2", "avx", "avx2", "fma", "f16c"})
"""An x86 processor without any arithmetic of 16 bits."""


@pytest.mark.parametrize(
    ("flags", "machine", "dtype"),
    [
        (OLD, "x86_64", "float32"),
        (OLD | {"avx512f", "avx512_vnni"}, "x86_64", "float32"),
        (OLD | {"avx512f", "avx512_fp16"}, "x86_64", "float32"),
        (OLD | {"avx512f", "avx512_bf16"}, "x86_64", None),
        (OLD | {"avx512f", "avx512_bf16", "amx_bf16", "amx_tile"}, "x86_64", None),
        (OLD | {"amx_bf16"}, "x86_64", None),
        ({"fp", "asimd"}, "aarch64", None),
        ({"fp", "asimd", "bf16"}, "aarch64", None),
        (set(), "x86_64", None),
    ],
)
def test_a_cpu_computes_in_float32_where_it_does_not_multiply_bfloat16(
    flags: set[str], machine: str, dtype: str | None
) -> None:
    assert profile.cpu_dtype(flags, machine) == dtype


def test_flags_are_read_from_the_first_processor(tmp_path: Path) -> None:
    listed = tmp_path / "cpuinfo"
    listed.write_text(
        "processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\nvmx flags\t: vnmi\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    assert profile.processor_flags(listed) == {"fpu", "avx2", "amx_bf16"}
    listed.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert profile.processor_flags(listed) == set()
    assert profile.processor_flags(tmp_path / "none") == set()


@pytest.mark.parametrize("listen", [SOCKET, ("0.0.0.0", 8000)], ids=["managed", "served alone"])
def test_the_precision_reaches_every_cpu_engine_and_extra_arguments_win(
    monkeypatch: pytest.MonkeyPatch, listen: profile.Listen
) -> None:
    settings = EngineSettings(model=Path("/m"), profile="cpu", extra_args=("--dtype", "bfloat16"))
    monkeypatch.setattr(profile.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(profile, "processor_flags", lambda: OLD)
    command = vllm_command(settings, listen)
    assert [command[i + 1] for i, word in enumerate(command) if word == "--dtype"] == ["float32", "bfloat16"]
    assert "--dtype" not in vllm_command(replace(settings, profile="gpu", extra_args=()), listen)
    monkeypatch.setattr(profile, "processor_flags", lambda: OLD | {"avx512_bf16"})
    assert "--dtype" not in vllm_command(replace(settings, extra_args=()), listen)


def test_a_gpu_engine_prepares_photos_in_a_third_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)))
    command = vllm_command(EngineSettings(model=Path("/m"), profile="gpu"), SOCKET)
    assert command[:5] == [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", "/m"]
    assert flag(command, "--api-server-count") == "5"
    assert flag(command, "--gpu-memory-utilization") == "0.9"
    assert "--enforce-eager" not in command


def test_settings_win_over_the_profile_and_extra_arguments_over_both() -> None:
    settings = EngineSettings(
        model=Path("/m"), profile="gpu", api_server_count=2, max_num_seqs=7, extra_args=("--max-num-seqs", "9")
    )
    command = vllm_command(settings, SOCKET)
    assert flag(command, "--api-server-count") == "2"
    assert [command[i + 1] for i, word in enumerate(command) if word == "--max-num-seqs"] == ["7", "9"]
    assert command[-2:] == ["--max-num-seqs", "9"]


def test_the_environment_keeps_the_engine_offline_and_its_photos_bounded() -> None:
    cpu = vllm_environment(EngineSettings(model=Path("/m"), profile="cpu", kv_cache_gib=2))
    gpu = vllm_environment(EngineSettings(model=Path("/m"), profile="gpu"))
    for environment in (cpu, gpu):
        assert environment["HF_HUB_OFFLINE"] == "1"
        assert environment["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
        assert environment["VLLM_SERVER_DEV_MODE"] == "0"
        assert int(environment["VLLM_MAX_IMAGE_PIXELS"]) == profile.MAX_IMAGE_PIXELS
    assert cpu["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert cpu["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"  # else two processes spin and starve a small machine
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in gpu
    assert "VLLM_CPU_KVCACHE_SPACE" not in gpu


@pytest.mark.parametrize(
    ("device", "cpu_build", "expected"),
    [(True, False, "gpu"), (True, True, "cpu"), (False, False, "cpu"), (False, True, "cpu")],
)
def test_auto_takes_a_device_that_the_installed_vllm_can_use(
    monkeypatch: pytest.MonkeyPatch, device: bool, cpu_build: bool, expected: str
) -> None:
    monkeypatch.setattr(profile, "nvidia_device_visible", lambda: device)
    monkeypatch.setattr(profile, "cpu_build_installed", lambda: cpu_build)
    assert EngineSettings(model=Path("/m")).hardware == expected


@pytest.mark.engine
@pytest.mark.parametrize("hardware", ["cpu", "gpu"])
def test_the_installed_vllm_knows_every_variable(hardware: str) -> None:
    from vllm import envs

    for name in vllm_environment(EngineSettings(model=Path("/m"), profile=hardware)):  # pyright: ignore[reportArgumentType]
        assert not name.startswith("VLLM_") or name in envs.environment_variables, name


@pytest.mark.engine
def test_quantising_is_one_flag_that_the_installed_vllm_knows() -> None:
    code = "from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS as known; print(*known)"
    known = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for name in get_args(profile.Quantization):
        command = vllm_command(EngineSettings(model=Path("/m"), profile="gpu", quantization=name), SOCKET)
        assert flag(command, "--quantization") == name
        assert name in known


@pytest.mark.parametrize("hardware", get_args(profile.Profile))
def test_an_engine_drafts_unless_told_otherwise(hardware: profile.Profile) -> None:
    usual = EngineSettings(model=Path("/m"), profile=hardware)
    command = vllm_command(usual, SOCKET)
    assert json.loads(flag(command, "--speculative-config"))["num_speculative_tokens"] == 8
    assert flag(command, "--scheduler-cls") == "engine.drafts.GreedyDrafts"
    command = vllm_command(replace(usual, drafts=4), SOCKET)
    assert json.loads(flag(command, "--speculative-config"))["num_speculative_tokens"] == 4
    assert "--speculative-config" not in vllm_command(replace(usual, drafts=0), SOCKET)


def test_without_a_word_a_checkpoint_is_served_as_it_is() -> None:
    assert "--quantization" not in vllm_command(EngineSettings(model=Path("/m"), profile="gpu"), SOCKET)
