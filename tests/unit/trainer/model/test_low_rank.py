"""LoRA in few kernels against peft's own: the same output and gradients, and peft's own wherever it is not plain LoRA."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear
from torch import nn

from trainer.model.low_rank import LowRankLinear, SharedInput, _Product


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


class Branches(nn.Module):
    """Three layers given one input, and one that is not."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(12, 8), nn.Linear(12, 4, bias=False), nn.Linear(12, 4)
        self.out = nn.Linear(8, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = x * 2
        mixed = torch.cat([self.k(inner) * self.v(inner), self.q(inner)[..., :4]], -1)
        out: torch.Tensor = self.out(mixed)
        return out


def branches(**options: Any) -> Any:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q", "k", "v", "out"], init_lora_weights=False, **options)
    config._register_custom_module({nn.Linear: LowRankLinear})
    return get_peft_model(Branches(), config)


@pytest.mark.parametrize(
    ("options", "products"),
    [({}, 6), ({"rank_pattern": {"k": 2}}, 6), ({"lora_dropout": 0.5}, 8)],
    ids=["ranks alike", "of different ranks", "each drops its own"],
)
def test_layers_of_one_input_share_a_product_when_compiled(options: dict[str, Any], products: int) -> None:
    alone, sharing = branches(**options), branches(**options)
    inner = sharing.get_base_model()
    SharedInput(inner.q, inner.k, inner.v)
    counted: list[int] = []

    def counting(graph: Any, _: Any) -> Any:
        counted.append(sum("linear" in str(node.target) for node in graph.graph.nodes) - len(Branches()._modules))
        return graph.forward

    inner.compile(dynamic=True, backend=counting)
    for ours, theirs in zip(learnt(sharing), learnt(alone), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert counted == [products]  # beside the four layers' own
    with alone.disable_adapter(), sharing.disable_adapter():
        torch.testing.assert_close(sharing(torch.ones(2, 12)), alone(torch.ones(2, 12)))
    assert inner.q.shared._x is None


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
