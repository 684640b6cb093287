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

    import torch.nn.attention.varlen as kernels

    monkeypatch.setattr(kernels, "varlen_attn", old if parameters == "old" else new)
    attention._kernel_options.cache_clear()
    query, key = torch.ones(6, 4, 16), torch.ones(6, 2, 16)
    bounds = torch.tensor([0, 2, 6], dtype=torch.int32)
    attention._in_one_call(query, key, key, bounds, 4, scale=0.5, causal=causal)
    attention._kernel_options.cache_clear()
    if parameters == "old":
        assert calls["is_causal"] is causal
        assert calls["heads"] == 4
        assert torch.allclose(calls["query"] * 16**-0.5, query * 0.5)
    else:
        assert calls["window"] == ((-1, 0) if causal else (-1, -1))
        assert (calls["scale"], calls["gqa"], calls["heads"]) == (0.5, True, 2)
