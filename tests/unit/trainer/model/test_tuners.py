import re
from pathlib import Path

import pytest
import torch

from trainer.config import TunerSection
from trainer.model import network, tuners
from trainer.model.encode import Encoder
from trainer.model.towers import Tower, tower_of
from vqc.errors import InvalidValue

pytestmark = pytest.mark.filterwarnings(
    "ignore:Failed to load the CUDA extension", "ignore:Setting boft_n_butterfly_factor"
)


@pytest.fixture
def model(checkpoint: Path):
    table = Encoder.load(checkpoint).pixels.table_CV
    return network.load(checkpoint, dtype=torch.float32, attn_impl="sdpa", pixel_table=table)


def trained_towers(model) -> set[Tower]:
    return {tower_of(name) for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize(
    "section",
    [
        {"tuner_type": "lora"},
        {"tuner_type": "lora", "use_dora": True},
        {"tuner_type": "adalora"},
        {"tuner_type": "boft"},
        {"tuner_type": "fourierft", "fourier_n_frequency": 40},
    ],
)
def test_every_adapter_learns_and_starts_or_ends_sanely(model, section):
    tuned = tuners.apply_tuner(model, TunerSection(freeze_aligner=False, **section), total_steps=10)
    assert tuners.is_adapter(tuned)
    assert trained_towers(tuned) == {Tower.LLM, Tower.ALIGNER}


@pytest.mark.parametrize("llm", [True, False])
@pytest.mark.parametrize("vit", [True, False])
@pytest.mark.parametrize("aligner", [True, False])
def test_freeze_flags_choose_towers(model, llm, vit, aligner):
    flags = {"freeze_llm": llm, "freeze_vit": vit, "freeze_aligner": aligner}
    wanted = {tower for tower, frozen in zip(Tower, (llm, vit, aligner), strict=True) if not frozen}
    if not wanted:
        for kind in ("lora", "full"):
            with pytest.raises(tuners.NothingToTrain):
                tuners.apply_tuner(model, TunerSection(tuner_type=kind, **flags))
        return
    found = tuners.targets(model, TunerSection(**flags))
    assert {tower_of(name) for name in found.adapted} == wanted
    assert "lm_head" not in found.adapted
    assert trained_towers(tuners.apply_tuner(model, TunerSection(tuner_type="full", **flags))) == wanted


def test_all_linear_is_every_linear_layer(model):
    found = set(tuners.targets(model, TunerSection(freeze_vit=False, freeze_aligner=False)).adapted)
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert found == linear - {"lm_head"}
    pattern = tuners.target_pattern(tuple(sorted(found)))
    assert {name for name, _ in model.named_modules() if re.fullmatch(pattern, name)} == found


def test_layers_named_beside_all_linear_are_trained_or_refused_by_name(model):
    every = set(tuners.targets(model, TunerSection()).adapted)
    named = tuners.targets(model, TunerSection(target_modules=("all-linear", "lm_head"))).adapted
    assert set(named) == every | {"lm_head"}
    for wrong in ("all-embedding", "qq_proj"):
        with pytest.raises(InvalidValue, match=wrong):
            tuners.targets(model, TunerSection(target_modules=("all-linear", wrong)))


def test_the_aligner_playbook_trains_exactly_the_named_modules(model):
    section = TunerSection(
        freeze_llm=True,
        target_regex="^$",
        modules_to_save=("model.visual.merger", "model.visual.deepstack_merger_list"),
    )
    tuned = tuners.apply_tuner(model, section)
    assert tuned is model
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if tower_of(name) is Tower.ALIGNER}


def test_modules_to_save_beside_an_adapter(model):
    tuned = tuners.apply_tuner(model, TunerSection(freeze_aligner=False, modules_to_save=("model.visual.merger",)))
    trained = [name for name, parameter in tuned.named_parameters() if parameter.requires_grad]
    assert any("visual.merger.modules_to_save.default.linear_fc1.weight" in name for name in trained)
    assert not any("visual.merger" in name and "lora" in name for name in trained)


def test_names_that_do_not_exist_are_named(model):
    with pytest.raises(InvalidValue, match="qq_proj"):
        tuners.targets(model, TunerSection(target_modules=("q_proj", "qq_proj")))
    with pytest.raises(InvalidValue, match="visual.nowhere"):
        tuners.targets(model, TunerSection(modules_to_save=("visual.nowhere",)))


def test_an_earlier_stage_continues_in_a_wider_one(checkpoint: Path, model, tmp_path: Path):
    first = tuners.apply_tuner(model, TunerSection(freeze_llm=True, freeze_aligner=False, lora_rank=4))
    for name, parameter in first.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.5)
    first.save_pretrained(tmp_path / "stage1")
    table = model.pixel_table_CV.numpy()

    def fresh():
        return network.load(checkpoint, dtype=torch.float32, attn_impl="sdpa", pixel_table=table)

    second = tuners.apply_tuner(fresh(), TunerSection(freeze_aligner=False, lora_rank=4))
    tuners.load_earlier_stage(second, tmp_path / "stage1")
    taken = dict(second.named_parameters())
    for name, parameter in first.named_parameters():
        if "lora" in name:
            assert torch.equal(taken[name], parameter)
    assert all(not p.any() for name, p in taken.items() if "lora_B" in name and "language_model" in name)
    for other in (TunerSection(lora_rank=4), TunerSection(freeze_aligner=False, lora_rank=2)):
        with pytest.raises(tuners.EarlierStageMismatch, match="vqc-train export"):
            tuners.load_earlier_stage(tuners.apply_tuner(fresh(), other), tmp_path / "stage1")


def test_what_is_trained_beside_bfloat16_weights_is_float32(checkpoint: Path):
    table = Encoder.load(checkpoint).pixels.table_CV
    model = network.load(checkpoint, dtype=torch.bfloat16, attn_impl="sdpa", pixel_table=table)
    section = TunerSection(freeze_aligner=True, modules_to_save=("model.visual.merger",))
    tuned = tuners.apply_tuner(model, section, masters=True)
    assert {p.dtype for p in tuned.parameters() if p.requires_grad} == {torch.float32}
    assert torch.bfloat16 in {p.dtype for p in tuned.parameters()}
