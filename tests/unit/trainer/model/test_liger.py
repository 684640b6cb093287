"""The kernels themselves need a GPU; here: when they are refused, and that the loss is left alone."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import tiny
from trainer.model import liger
from trainer.training.run import run
from vqc.errors import InvalidValue


def test_a_cpu_refuses_them(tmp_path: Path):
    model, data = tiny.checkpoint(tmp_path / "tiny"), tiny.data(tmp_path / "photos", 2)
    with pytest.raises(InvalidValue, match=r"use_liger_kernel.*need a GPU"):
        run(tiny.config(model, data, tmp_path / "out", use_liger_kernel=True))


def test_a_gpu_without_the_package_is_told_its_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(liger, "find_spec", lambda name: None)
    with pytest.raises(InvalidValue, match="pip install 'liger-kernel"):
        liger.use_liger_kernels(object())


def test_norms_positions_and_gates_are_replaced_and_the_loss_is_not(monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, Any] = {}
    package = SimpleNamespace(
        apply_liger_kernel_to_qwen3_vl=lambda **options: asked.update(options),
        LigerSwiGLUMLP=SimpleNamespace(forward=lambda gates, x: (gates, x)),
    )
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr(liger, "find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, "liger_kernel", package)
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", package)
    gates = SimpleNamespace()
    text = SimpleNamespace(layers=[SimpleNamespace(mlp=gates)])
    model = SimpleNamespace(model=SimpleNamespace(language_model=text))
    liger.use_liger_kernels(model)
    assert asked.pop("model") is model
    assert {name for name, on in asked.items() if on} == {"rope", "rms_norm"}
    assert gates.forward(1) == (gates, 1)
