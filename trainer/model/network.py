"""Qwen3-VL with the training loss inside ``forward``, so that DDP, FSDP and ZeRO hooks run around it.

The class keeps transformers' name: a checkpoint it writes names an architecture that every other tool knows.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import linear
from transformers.models.qwen3_vl import modeling_qwen3_vl as upstream
from transformers.utils.generic import ModelOutput

from trainer.model import attention
from trainer.model.collate import ModelFacts
from trainer.model.coordinates import CoordinateTargets
from trainer.model.loss import next_token_loss
from vqc.errors import VqcError


class UnsupportedTransformers(VqcError):
    """A transformers whose Qwen3-VL would silently ignore what the loss depends on."""


@dataclass
class TrainingOutput(ModelOutput):
    """``loss`` to differentiate; sums over this batch for the logs: ``loss_total``, ``correct``, ``tokens``."""

    loss: torch.Tensor | None = None
    loss_total: torch.Tensor | None = None
    correct: torch.Tensor | None = None
    tokens: torch.Tensor | None = None


class LinearPatchEmbed(upstream.Qwen3VLVisionPatchEmbed):
    """The patch embedding as the matrix product it is: kernel and stride of the convolution are equal."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """embeddings_ND of patches_N(CTP)."""
        weight = self.proj.weight
        return linear(hidden_states.to(weight.dtype), weight.view(self.embed_dim, -1), self.proj.bias)


class Qwen3VLForConditionalGeneration(upstream.Qwen3VLForConditionalGeneration):
    """Transformers' model; a batch with ``labels`` returns a ``TrainingOutput``, anything else is upstream's."""

    accepts_loss_kwargs = True  # the loss is divided by num_items_in_batch, so accumulation is exact

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model.visual.patch_embed = LinearPatchEmbed(config.vision_config)
        self.pixel_table_CV: torch.Tensor | None = None
        self.coordinates: CoordinateTargets | None = None

    def forward(  # type: ignore[override]
        self,
        input_ids: Any = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **inputs: Any,
    ) -> Any:
        """The loss of a collated batch (``trainer.model.collate``): summed over tokens / ``num_items_in_batch``.

        Without ``num_items_in_batch`` the mean over this batch's own supervised tokens. ``coordinates`` count in training
        mode only: what evaluation reports is plain cross-entropy.
        """
        if labels is None:
            return super().forward(input_ids=input_ids, **inputs)
        hidden_BTD = self._hidden(input_ids, inputs)
        found = next_token_loss(
            hidden_BTD,
            labels,
            self.lm_head,
            before_BT=input_ids,
            coordinates=self.coordinates if self.training else None,
        )
        items = found.tokens.clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        return TrainingOutput(
            loss=found.total / items,
            loss_total=found.total.detach(),
            correct=found.correct,
            tokens=found.tokens,
        )

    def facts(self, pad_token: int) -> ModelFacts:
        """What collation must know of this model."""
        vision: Any = self.config.vision_config
        return ModelFacts(
            image_token=self.config.image_token_id,
            pad_token=pad_token,
            merge_size=vision.spatial_merge_size,
            position_side=int(vision.num_position_embeddings**0.5),
        )

    def pixel_values(self, levels_NX: torch.Tensor) -> torch.Tensor:
        """values_N(CTP) that the image processor would have made of uint8 levels_N(CP), on the levels' device."""
        vision: Any = self.config.vision_config
        channels, frames = vision.in_channels, vision.temporal_patch_size
        if self.pixel_table_CV is None:
            raise ValueError("the model has no pixel table; load it with trainer.model.network.load")
        if self.pixel_table_CV.device != levels_NX.device:
            self.pixel_table_CV = self.pixel_table_CV.to(levels_NX.device)
        offsets_C1 = torch.arange(channels, device=levels_NX.device, dtype=torch.int32)[:, None] * 256
        levels_NCP = levels_NX.view(len(levels_NX), channels, -1)
        values = self.pixel_table_CV.view(-1).index_select(0, (levels_NCP.int() + offsets_C1).view(-1))
        values_NCP = values.view(levels_NCP.shape)
        return values_NCP[:, :, None].expand(-1, -1, frames, -1).reshape(len(levels_NX), -1)

    def _hidden(self, input_ids: torch.Tensor, inputs: dict[str, Any]) -> torch.Tensor:
        """hidden_BTD of the last layer. ``use_cache`` is off: with a cache packed samples would see each other."""
        text = {
            key: inputs[key]
            for key in (
                "position_ids",
                "attention_mask",
                "cu_seq_lens_q",
                "cu_seq_lens_k",
                "max_length_q",
                "max_length_k",
            )
            if inputs.get(key) is not None
        }
        if inputs.get("pixel_levels") is not None:
            features: Any = self.model.get_image_features
            vision = features(
                self.pixel_values(inputs["pixel_levels"]),
                inputs["image_grid_thw"],
                position_ids=inputs["vision_positions"],
                interp_indices=inputs["vision_taps"],
                interp_weights=inputs["vision_weights"],
                cu_seqlens=inputs["vision_cu_seqlens"],
                max_seqlen=inputs["vision_max_seqlen"],
                return_dict=True,
            )
            text["mm_encoder_outputs"] = {"image": vision}
        return self.model(input_ids=input_ids, use_cache=False, **text)[0]


def load(
    directory: str | Path,
    *,
    dtype: torch.dtype,
    attn_impl: str,
    pixel_table: np.ndarray,
) -> Qwen3VLForConditionalGeneration:
    """The checkpoint's model for training. ``attn_impl`` is sdpa, eager, flash_attention_2 or varlen.

    Raises:
        UnsupportedTransformers: older than 5.18, which would train on the wrong inputs without saying so.
        OSError: no such checkpoint (from transformers).
    """
    _check_transformers()
    own = attn_impl == "varlen"
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        directory, dtype=dtype, attn_implementation="sdpa" if own else attn_impl
    )
    if own:  # set afterwards: loading looks every name with "flash" up among the wheels
        model.config._attn_implementation = attention.register()
    model.pixel_table_CV = torch.from_numpy(pixel_table)
    return model


def compile_blocks(model: Any) -> None:
    """Compiles the blocks of both towers for any number of tokens; blocks of one kind share their code."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    for block in (*inner.model.language_model.layers, *inner.model.visual.blocks):
        block.compile(dynamic=True)


def chosen_attention(requested: str, *, packing: bool) -> str:
    """The attention implementation in force: ``auto`` is varlen on CUDA when packing, else sdpa."""
    if requested != "auto":
        return requested
    return "varlen" if packing and attention.available() else "sdpa"


def _check_transformers() -> None:
    if "mm_encoder_outputs" not in inspect.signature(upstream.Qwen3VLModel.forward).parameters:
        import transformers

        raise UnsupportedTransformers(f"transformers {transformers.__version__} is too old; install 5.18 or later")
