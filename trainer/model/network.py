"""Qwen3-VL with the training loss inside ``forward``, so that the hooks of DDP, FSDP and ZeRO run around it.

The class has the same name as transformers' own: its checkpoints name an architecture that every tool knows.
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
from transformers.utils.import_utils import is_flash_attn_2_available

from trainer.model import attention
from trainer.model.collate import ModelFacts
from trainer.model.coordinates import CoordinateTargets
from trainer.model.distillation import DistillationBatch, Objective, TeacherOutput, TeacherRequest
from trainer.model.loss import TokenLoss, at, next_token_loss
from trainer.model.low_rank import SharedInput
from trainer.model.signature import with_arguments_of
from trainer.model.vision import Trunk, VisionFeatures, align_trunk, encode_photos
from vqc.errors import InvalidValue, VqcError

_TEXT_INPUTS = (
    "position_ids",
    "attention_mask",
    "cu_seq_lens_q",
    "cu_seq_lens_k",
    "max_length_q",
    "max_length_k",
)


class UnsupportedTransformers(VqcError):
    """The installed transformers' Qwen3-VL would silently ignore inputs that the loss depends on."""


@dataclass
class TrainingOutput(ModelOutput):
    """The differentiable ``loss``, and sums over this batch for the logs.

    ``loss_total`` (cross-entropy) and ``correct`` are sums over ``tokens``. With a teacher, weighted: ``llm_kd_total`` is a
    sum over ``distilled_tokens``, ``vision_kd_total`` over ``image_tokens``.
    """

    loss: torch.Tensor | None = None
    loss_total: torch.Tensor | None = None
    correct: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    llm_kd_total: torch.Tensor | None = None
    distilled_tokens: torch.Tensor | None = None
    vision_kd_total: torch.Tensor | None = None
    image_tokens: torch.Tensor | None = None


class LinearPatchEmbed(upstream.Qwen3VLVisionPatchEmbed):
    """The patch embedding as one matrix product, which equals the convolution since its kernel and stride are equal."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """embeddings_ND for patches_N(CTP)."""
        weight = self.proj.weight
        return linear(hidden_states.to(weight.dtype), weight.view(self.embed_dim, -1), self.proj.bias)


class TextModel(upstream.Qwen3VLTextModel):
    """Transformers' text model, which also accepts indices of image tokens instead of a mask.

    Indexing with a mask blocks the host until the device has counted its ones.
    """

    def _deepstack_process(
        self, hidden_states: torch.Tensor, visual_pos_masks: torch.Tensor, visual_embeds: torch.Tensor
    ) -> torch.Tensor:
        if visual_pos_masks.dtype is torch.bool:
            return super()._deepstack_process(hidden_states, visual_pos_masks, visual_embeds)
        flat = hidden_states.flatten(0, 1).index_add(0, visual_pos_masks, visual_embeds.to(hidden_states.dtype))
        return flat.view_as(hidden_states)


class Qwen3VLForConditionalGeneration(upstream.Qwen3VLForConditionalGeneration):
    """Transformers' model. A batch with ``labels`` returns a ``TrainingOutput``; anything else is upstream's ``forward``."""

    accepts_loss_kwargs = True  # the Trainer then passes num_items_in_batch, by which gradient accumulation is exact

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model.visual.patch_embed = LinearPatchEmbed(config.vision_config)
        self.model.language_model.__class__ = TextModel  # keeps the object with its weights and configuration
        self.pixel_table_CV: torch.Tensor | None = None
        self.coordinates: CoordinateTargets | None = None
        self.objective: Objective | None = None
        self.compiled = False

    @with_arguments_of(upstream.Qwen3VLForConditionalGeneration.forward)  # ``generate`` inspects the signature
    def forward(  # type: ignore[override]
        self,
        input_ids: Any = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        image_items_in_batch: torch.Tensor | int | None = None,
        teacher_request: TeacherRequest | None = None,
        distillation: DistillationBatch | None = None,
        **inputs: Any,
    ) -> Any:
        """The loss of a collated batch (``trainer.model.collate``): the sum over tokens / ``num_items_in_batch``.

        Without ``num_items_in_batch`` it is the mean over this batch's own supervised tokens. The vision term of a
        ``distillation`` is divided by ``image_items_in_batch`` in the same way. ``coordinates`` apply in training mode
        only: evaluation reports plain cross-entropy. With ``teacher_request`` the pass returns a ``TeacherOutput``.
        """
        if labels is None:
            return super().forward(input_ids=input_ids, **inputs)
        if teacher_request is not None:
            return self._teacher_output(input_ids, teacher_request, inputs)
        features = self._features(inputs, distillation.trunk if distillation is not None else None)
        found = next_token_loss(
            self._hidden_states(input_ids, features, inputs),
            labels,
            self.lm_head,
            places_S=inputs["answer_places"],
            before_BT=input_ids,
            coordinates=self.coordinates if self.training else None,
            teacher=distillation.targets if distillation is not None else None,
            compiled=self.compiled,
        )
        items = found.tokens.clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        if distillation is None or self.objective is None:
            return TrainingOutput(
                loss=found.total / items,
                loss_total=found.total.detach(),
                correct=found.correct,
                tokens=found.tokens,
            )
        return self._distillation_output(found, items, features, image_items_in_batch, distillation)

    def train(self, mode: bool = True) -> Any:
        """As upstream, but only if the mode changes: upstream walks through all modules in every step."""
        return self if self.training is mode else super().train(mode)

    def facts(self, pad_token: int) -> ModelFacts:
        """The facts about this model that collation needs."""
        vision: Any = self.config.vision_config
        return ModelFacts(
            image_token=self.config.image_token_id,
            pad_token=pad_token,
            merge_size=vision.spatial_merge_size,
            position_side=int(vision.num_position_embeddings**0.5),
        )

    def pixel_values(self, levels_NX: torch.Tensor) -> torch.Tensor:
        """values_N(CTP) that the image processor makes from uint8 levels_N(CP), on the levels' device."""
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

    def _distillation_output(
        self,
        found: TokenLoss,
        items: torch.Tensor | int,
        features: VisionFeatures | None,
        image_items: torch.Tensor | int | None,
        distillation: DistillationBatch,
    ) -> TrainingOutput:
        """The loss with the teacher's terms added, and the weighted terms among the sums."""
        assert self.objective is not None
        counted = 0 if distillation.on_policy else 1
        output = TrainingOutput(
            loss=self.objective.sft_weight * counted * found.total / items,
            loss_total=found.total.detach() * counted,
            correct=found.correct * counted,
            tokens=found.tokens * counted,
        )
        if found.divergence is not None:
            total = self.objective.llm_weight * found.divergence
            output["loss"] = output["loss"] + total / items
            output["llm_kd_total"], output["distilled_tokens"] = total.detach(), found.tokens
        if features is not None and distillation.features is not None:
            total = self.objective.vision_total(features, distillation.features)
            count = torch.full((), len(features.merged_MD), device=total.device)
            output["loss"] = output["loss"] + total / (count if image_items is None else image_items)
            output["vision_kd_total"], output["image_tokens"] = total.detach(), count
        return output

    def _teacher_output(self, input_ids: Any, teacher_request: TeacherRequest, inputs: dict[str, Any]) -> TeacherOutput:
        features = trunk = None
        if inputs.get("pixel_levels") is not None:
            features, trunk = encode_photos(self.model, self.pixel_values(inputs["pixel_levels"]), inputs)
        hidden_BTD = self._hidden_states(input_ids, features, inputs) if teacher_request.text else None
        return TeacherOutput(
            hidden_SD=at(inputs["answer_places"], hidden_BTD) if hidden_BTD is not None else None,
            features=features if teacher_request.features else None,
            trunk=trunk,
        )

    def _features(self, inputs: dict[str, Any], trunk: Trunk | None) -> VisionFeatures | None:
        """The photos' features, from the teacher's trunk if there is one; None without photos."""
        if inputs.get("pixel_levels") is None:
            return None
        if trunk is not None:
            return align_trunk(self.model.visual, trunk)
        return encode_photos(self.model, self.pixel_values(inputs["pixel_levels"]), inputs)[0]

    def _hidden_states(
        self, input_ids: torch.Tensor, features: VisionFeatures | None, inputs: dict[str, Any]
    ) -> torch.Tensor:
        """hidden_BTD of the last layer. ``use_cache`` is off: with a cache, packed samples would attend to each other."""
        text = {key: inputs[key] for key in _TEXT_INPUTS if inputs.get(key) is not None}
        embeds_BTD = self.get_input_embeddings()(input_ids)
        if features is not None:
            places, merged_MD = inputs["image_places"], features.merged_MD.to(embeds_BTD.dtype)
            embeds_BTD = embeds_BTD.flatten(0, 1).index_copy(0, places, merged_MD).view_as(embeds_BTD)
            text |= {"visual_pos_masks": places, "deepstack_visual_embeds": features.deepstack}
        return self.model.language_model(inputs_embeds=embeds_BTD, use_cache=False, **text)[0]


def load(
    directory: str | Path,
    *,
    dtype: torch.dtype,
    attn_impl: str,
    pixel_table: np.ndarray,
) -> Qwen3VLForConditionalGeneration:
    """Loads a checkpoint's model for training. ``attn_impl`` is sdpa, eager, flash_attention_2 or varlen.

    Raises:
        UnsupportedTransformers: transformers is older than 5.18 and would silently train on wrong inputs.
        OSError: there is no such checkpoint (from transformers).
    """
    _check_transformers()
    own = attn_impl == "varlen"
    model = Qwen3VLForConditionalGeneration.from_pretrained(
        directory, dtype=dtype, attn_implementation="sdpa" if own else attn_impl
    )
    if own:  # set after loading, which would look for a wheel for any name that contains "flash"
        model.config._attn_implementation = attention.register()
    model.pixel_table_CV = torch.from_numpy(pixel_table)
    return model


def compile_blocks(model: Any) -> None:
    """Compiles the loss, and the blocks of both towers for any number of tokens; blocks of one kind share their code."""
    # Numbers such as a norm's epsilon stay constants; PyTorch's default would make each an input of the kernels.
    torch._dynamo.config.specialize_float = True
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.compiled = True
    for block in inner.model.language_model.layers:
        SharedInput(block.self_attn.q_proj, block.self_attn.k_proj, block.self_attn.v_proj)
        SharedInput(block.mlp.gate_proj, block.mlp.up_proj)
    for block in (*inner.model.language_model.layers, *inner.model.visual.blocks):
        block.compile(dynamic=True)


def attention_implementation(requested: str, *, packing: bool) -> str:
    """The attention implementation to use: ``auto`` is varlen when packing on CUDA, else sdpa.

    Raises:
        InvalidValue: flash_attention_2 without its package.
    """
    if requested == "flash_attention_2" and not is_flash_attn_2_available():
        valid = "needs the package flash-attn and a GPU; use auto, which needs neither"
        raise InvalidValue("model.attn_impl", requested, valid)
    if requested != "auto":
        return requested
    return "varlen" if packing and attention.available() else "sdpa"


def _check_transformers() -> None:
    if "mm_encoder_outputs" not in inspect.signature(upstream.Qwen3VLModel.forward).parameters:
        import transformers

        raise UnsupportedTransformers(f"transformers {transformers.__version__} is too old; install 5.18 or later")
