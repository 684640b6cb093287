import inspect

import pytest
import torch

from trainer.model import attention


def test_a_mask_or_a_second_row_is_refused():
    part = torch.randn(1, 2, 4, 8)
    for arguments in ((part, part, part, torch.ones(1, 4)), (part.repeat(2, 1, 1, 1),) * 3):
        with pytest.raises(ValueError, match="one packed row"):
            attention.attend(torch.nn.Module(), *arguments)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("parameters", ["old", "new"])
def test_the_kernel_is_called_by_its_own_signature(monkeypatch, causal, parameters):
    """PyTorch 2.10 says is_causal, later ones window_size and scale; enable_gqa came last."""
    calls = {}

    def old(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, is_causal=False):
        calls.update(is_causal=is_causal, heads=key.shape[1], query=query)
        return query

    def new(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):
        calls.update(window=window_size, scale=scale, gqa=enable_gqa, heads=key.shape[1], query=query)
        return query

    kernel = old if parameters == "old" else new
    monkeypatch.setattr(attention, "varlen_attn", kernel)
    monkeypatch.setattr(attention, "_OPTIONS", frozenset(inspect.signature(kernel).parameters))
    query, key = torch.ones(6, 4, 16), torch.ones(6, 2, 16)
    bounds = torch.tensor([0, 2, 6], dtype=torch.int32)
    attention._in_one_call(query, key, key, bounds, 4, scale=0.5, causal=causal)
    if parameters == "old":
        assert calls["is_causal"] is causal
        assert calls["heads"] == 2
        assert torch.allclose(calls["query"] * 16**-0.5, query * 0.5)
    else:
        assert calls["window"] == ((-1, 0) if causal else (-1, -1))
        assert (calls["scale"], calls["gqa"], calls["heads"]) == (0.5, True, 2)


@pytest.mark.skipif(not attention.available(), reason="the kernel needs a GPU")
@pytest.mark.parametrize("causal", [True, False])
def test_the_kernel_shares_keys_among_queries(causal):
    """Against one call for each sequence in float32, gradients too."""
    torch.manual_seed(0)
    parts = [torch.randn(1, heads, 50, 64, device="cuda") for heads in (8, 2, 2)]
    bounds = torch.tensor([0, 20, 50], dtype=torch.int32, device="cuda")
    found = []
    for dtype in (torch.bfloat16, torch.float32):
        query, key, value = given = [part.to(dtype).requires_grad_() for part in parts]
        attended, _ = attention.attend(
            torch.nn.Module(), query, key, value, is_causal=causal, cu_seq_lens_q=bounds, max_length_q=30
        )
        attended.float().square().sum().backward()
        found.append([attended, *(part.grad for part in given)])
    for half, true in zip(*found, strict=True):
        assert (half.float() - true).norm() < 0.02 * true.norm()
