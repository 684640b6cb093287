"""LoRA in few kernels against peft's own: the same output and gradients, and peft's own wherever it is not plain LoRA."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import nn

from trainer.model.low_rank import LowRankLinear, _Product


def adapted(*, fused: bool, bias: bool = True, **options: Any) -> Any:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 6, bias=bias))
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["0", "2"], init_lora_weights=False, **options)
    if fused:
        config._register_custom_module({nn.Linear: LowRankLinear})
    return get_peft_model(model, config)


def learnt(model: Any, dtype: torch.dtype | None = None) -> list[torch.Tensor]:
    torch.manual_seed(1)
    x = torch.randn(2, 5, 12, requires_grad=True)
    with torch.autocast("cpu", dtype, enabled=dtype is not None):
        y = model(x)
    y.float().square().sum().backward()
    assert x.grad is not None
    return [y, x.grad, *(p.grad for p in model.parameters() if p.requires_grad)]


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"lora_dropout": 0.5}, {"use_rslora": True}])
def test_equals_peft(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[None] = []
    monkeypatch.setattr(_Product, "apply", lambda *given, of=_Product.apply: taken.append(None) or of(*given))
    found, wanted = learnt(adapted(fused=True, **options)), learnt(adapted(fused=False, **options))
    assert len(taken) == 2
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("options", [{}, {"bias": False}])
def test_compiled_it_is_the_same_in_one_graph(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    eager, compiled = adapted(fused=True, **options), adapted(fused=True, **options)
    compiled.compile(fullgraph=True, dynamic=True, backend="aot_eager")
    wanted = learnt(eager)
    monkeypatch.setattr(_Product, "apply", None)
    for ours, theirs in zip(learnt(compiled), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_half_precision_is_no_further_from_the_truth_than_peft() -> None:
    true = learnt(adapted(fused=False))
    ours, theirs = (learnt(adapted(fused=fused), torch.bfloat16) for fused in (True, False))
    assert ours[0].dtype is torch.bfloat16
    for t, a, b in zip(true, ours, theirs, strict=True):
        assert a.dtype is b.dtype
        assert (a - t).norm() <= 1.5 * (b - t).norm() + 1e-6 * t.norm()


@pytest.mark.parametrize("options", [{"use_dora": True}, {"bias": "all"}, {"lora_bias": True}])
def test_what_is_not_plain_is_pefts_own(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    trained_bias = options.pop("bias", None)
    fused = adapted(fused=True, **options)
    if trained_bias:
        for layer in fused.modules():
            if isinstance(layer, Linear):
                layer.get_base_layer().bias.requires_grad_(True)
    monkeypatch.setattr(_Product, "apply", None)
    fused(torch.randn(3, 12))


def test_off_and_merged_it_is_pefts_own_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = adapted(fused=True), torch.randn(3, 12)
    with_it = model(x)
    monkeypatch.setattr(_Product, "apply", None)
    with model.disable_adapter():
        assert not torch.allclose(model(x), with_it)
    model.merge_adapter()
    torch.testing.assert_close(model(x), with_it, atol=1e-5, rtol=1e-5)
