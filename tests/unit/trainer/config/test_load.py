"""Reading files: extends, merging, names, and errors that say where and what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainer.config import ConfigError, TrainConfig, config_from, documented_keys, load_config, notes, resolved_yaml
from vqc.missions import activate, missions

CONFIGS = Path(__file__).parents[4] / "configs"
OTHERS = {"registry_policy.yaml", "stage_b_training_free.yaml"}  # of other commands, loaded by their own tests
MINIMAL: dict[str, object] = {
    "model": {"model": "m"},
    "training": {"output_dir": "o"},
    "custom": {"train_jsonl": "t.jsonl"},
}
HEAD = "model: {model: m}\ntraining: {output_dir: o}\ncustom: {train_jsonl: t.jsonl}\n"


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.yaml").write_text(text, "utf-8")
    return directory / "main.yaml"


def problems(path: Path, base: Path | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, base)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "path", [path for path in sorted(CONFIGS.glob("*.yaml")) if path.name not in OTHERS], ids=lambda path: path.name
)
def test_every_shipped_config_loads_and_its_resolved_text_loads_again_equal(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    again = tmp_path / "resolved.yaml"
    again.write_text(resolved_yaml(config), "utf-8")
    assert load_config(again) == config
    assert notes(config) == ()


def test_loading_a_config_imports_no_torch() -> None:
    code = "import sys, trainer.config as c; c.load_config(sys.argv[1]); print('torch' in sys.modules, 'numpy' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code, str(CONFIGS / "smoke.yaml")], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["False", "False"]


def test_extends_merges_bases_left_to_right_and_the_file_on_top(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        left="training: {learning_rate: 1e-3, seed: 1, report_to: [tensorboard]}",
        right="training: {learning_rate: 2e-3, logging_steps: 7}",
        main="extends: [left.yaml, right.yaml]\n" + HEAD.replace("output_dir: o", "output_dir: o, report_to: [none]"),
    )
    training = load_config(path).training
    assert (training.learning_rate, training.seed, training.logging_steps) == (2e-3, 1, 7)
    assert training.report_to == ("none",)


def test_extends_is_relative_to_the_file_that_says_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "sub", middle="extends: ../root.yaml")
    path = write(tmp_path, root=HEAD, main="extends: sub/middle.yaml")
    assert load_config(path).model.model == "m"


def test_base_lies_below_everything(tmp_path: Path) -> None:
    path = write(tmp_path, low=HEAD + "tuner: {lora_rank: 4, lora_alpha: 5}", main="tuner: {lora_rank: 16}")
    tuner = load_config(path, tmp_path / "low.yaml").tuner
    assert (tuner.lora_rank, tuner.lora_alpha) == (16, 5)


def test_a_circle_names_its_chain(tmp_path: Path) -> None:
    path = write(tmp_path, main="extends: b.yaml", b="extends: c.yaml", c="extends: main.yaml")
    (problem,) = problems(path)
    assert f"{tmp_path}/main.yaml -> {tmp_path}/b.yaml -> {tmp_path}/c.yaml -> {tmp_path}/main.yaml" in problem


def test_a_diamond_is_no_circle(tmp_path: Path) -> None:
    path = write(tmp_path, root=HEAD, a="extends: root.yaml", b="extends: root.yaml", main="extends: [a.yaml, b.yaml]")
    assert load_config(path).model.model == "m"


def test_null_takes_back_what_a_base_said(tmp_path: Path) -> None:
    path = write(tmp_path, base=HEAD + "tuner: {lora_rank: 4}", main="extends: base.yaml\ntuner: {lora_rank: null}")
    assert load_config(path).tuner.lora_rank == 8


def test_missing_files_are_named_with_who_asked(tmp_path: Path) -> None:
    assert "'nowhere.yaml' does not exist" in problems(Path("nowhere.yaml"))[0]
    path = write(tmp_path, main="extends: gone.yaml")
    assert "gone.yaml" in problems(path)[0]
    assert "main.yaml extends" in problems(path)[0]


def test_numbers_and_booleans_follow_yaml_1_2(tmp_path: Path) -> None:
    path = write(
        tmp_path, main=HEAD.replace("output_dir: o", "output_dir: o, learning_rate: 1e-4, save_strategy: no, seed: 010")
    )
    training = load_config(path).training
    assert (training.learning_rate, training.save_strategy, training.seed) == (1e-4, "no", 10)


@pytest.mark.parametrize(
    ("text", "row", "key", "says"),
    [
        ("training: {output_dir: o,\n  lerning_rate: 1}", 2, "training.lerning_rate", "did you mean 'learning_rate'?"),
        ("modle: {}", 1, "modle", "did you mean 'model'?"),
        ("tuner: {lora_rank: '8'}", 1, "tuner.lora_rank", "'8' is not valid; must be a whole number"),
        ("tuner: {tuner_type: lore}", 1, "tuner.tuner_type", "valid: 'lora', 'full'"),
        ("training: {output_dir: o, bf16: 1}", 1, "training.bf16", "must be true or false"),
        ("tuner: 3", 1, "tuner", "must be a mapping of keys"),
        (
            "custom:\n  train_jsonl: t\n  augmentation:\n    ops:\n      - {name: rotat}",
            5,
            "custom.augmentation.ops[0].name",
            "unknown operation 'rotat'; did you mean 'rotate'?",
        ),
        (
            "custom:\n  train_jsonl: t\n  augmentation:\n    ops:\n      - {name: hflip, params: {prop: 1}}",
            5,
            "custom.augmentation.ops[0].params.prop",
            "did you mean 'prob'?",
        ),
        (
            "custom:\n  train_jsonl: t\n  augmentation:\n    ops:\n      - {name: gamma, params: {gamma: [2, 1]}}",
            5,
            "custom.augmentation.ops[0].params",
            "low <= high",
        ),
        ("custom: {train_jsonl: t, emit_norm: none}", 1, "custom.emit_norm", "'none' is not valid; valid: 'norm1000'"),
        ("rlhf: {rlhf_type: dpo}", 1, "rlhf.rlhf_type", "'dpo' is not valid; valid: 'gkd'"),
        ("rlhf: {rlhf_type: gkd, use_vllm: true}", 1, "rlhf.use_vllm", "no effect with lmbda: 0.0"),
        ("rlhf: {rlhf_type: gkd, vllm_server_port: 1}", 1, "rlhf.vllm_server_port", "without use_vllm: true"),
        ("rlhf: {rlhf_type: gkd, vllm_mode: colocate}", 1, "rlhf.vllm_mode", "valid: 'server'"),
        ("rlhf: {rlhf_type: gkd, vllm_max_lora_rank: 8}", 1, "rlhf.vllm_max_lora_rank", "an option of the vLLM server"),
        ("rlhf: {rlhf_type: gkd, gkd_logits_topk: 64}", 1, "rlhf.gkd_logits_topk", "rlhf.teacher_cache"),
        ("rlhf: {rlhf_type: gkd, lambda: 0.5}", 1, "rlhf.lambda", "did you mean 'lmbda'?"),
        (
            "custom: {train_jsonl: t, visual_kd: {targets: [vit]}}",
            1,
            "custom.visual_kd.targets[0]",
            "'merger', 'deepstack'",
        ),
        ("custom: {train_jsonl: t, user_prompt: hi}", 1, "custom.user_prompt", "the inspection's prompts.yaml"),
        ("quantization: {bits: 4}", 1, "quantization", "remove this section"),
        ("training: {output_dir: o, learning_rate: .nan}", 1, "training.learning_rate", "a finite number"),
    ],
)
def test_an_error_names_file_line_key_and_what_is_valid(
    tmp_path: Path, text: str, row: int, key: str, says: str
) -> None:
    section = text.split(":")[0]
    above = [line for line in HEAD.splitlines() if not line.startswith(f"{section}:")]
    (problem,) = problems(write(tmp_path, main="\n".join([*above, text])))
    assert problem.startswith(f"{tmp_path}/main.yaml:{len(above) + row}: {key}: ")
    assert says in problem


def test_an_error_in_a_base_names_the_base(tmp_path: Path) -> None:
    path = write(tmp_path, base="tuner:\n  lora_ranc: 3", main="extends: base.yaml\n" + HEAD)
    (problem,) = problems(path)
    assert problem.startswith(f"{tmp_path}/base.yaml:2: tuner.lora_ranc")


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, main="model: {modl: m}\ntraining: {seed: x}\n")
    assert len(problems(path)) == 5


def test_a_repeated_key_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, main=HEAD + "tuner:\n  lora_rank: 3\n  lora_rank: 4")
    assert problems(path) == [f"{tmp_path}/main.yaml:6: tuner.lora_rank: is repeated; its first line is 5"]


def test_text_that_is_not_yaml_names_the_line(tmp_path: Path) -> None:
    assert problems(write(tmp_path, main="model: {model: m\ntraining: ["))[0].startswith(f"{tmp_path}/main.yaml:")
    assert "mapping of sections" in problems(write(tmp_path, main="- a"))[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("? [a]\n: 1", "keys are text"),
        ("1: 2", "'1' is not a key"),
        ("model: &a {model: *a}", "contains itself"),
        ("model: &a [*a]", "contains itself"),
        ("model: !!python/object:os.system {}", "is not YAML"),
        ("extends: {a: 1}", "is not a file name"),
    ],
)
def test_odd_yaml_is_an_error_not_a_crash(tmp_path: Path, text: str, says: str) -> None:
    assert says in problems(write(tmp_path, main=text))[0]


def test_merge_keys_and_anchors_work(tmp_path: Path) -> None:
    path = write(tmp_path, main=HEAD.replace("{model: m}", "&m {model: m}") + "template: {max_length: &n 77}")
    assert load_config(path).max_length == 77


def test_old_names_are_accepted_and_a_child_may_override_them_by_the_new(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        base="model: {model: m}\ntuner: {train_type: lora}\ntraining: {output_dir: o, optim: adamw_torch}\n"
        "custom: {jsonl: t, save_delay_steps: 5}\ndata: {dataset: [dummy], dataloader_num_workers: 2}\n",
        main="inherit: base.yaml\ntuner: {tuner_type: full}\ntraining: {save_delay_steps: 6}",
    )
    config = load_config(path)
    assert config.tuner.tuner_type == "full"
    assert config.custom.train_jsonl == "t"
    assert config.training.optimizer == "adamw"
    assert (config.training.save_delay_steps, config.training.dataloader_num_workers) == (6, 2)
    assert notes(config) == ("data.dataset: ['dummy'] is a placeholder and is ignored",)


@pytest.mark.parametrize("name", ["dummy", "placeholder", "'[placeholder]'"])
def test_a_placeholder_for_ms_swift_is_accepted_and_records_there_are_not(tmp_path: Path, name: str) -> None:
    assert "is a placeholder" in notes(load_config(write(tmp_path, main=HEAD + f"data: {{dataset: [{name}]}}")))[0]
    assert "is not read" in problems(write(tmp_path, main=HEAD + "data: {dataset: [a/coco.jsonl]}"))[0]


def test_two_names_of_one_key_must_agree(tmp_path: Path) -> None:
    path = write(tmp_path, main=HEAD + "tuner: {train_type: lora, tuner_type: full}")
    assert "another name of tuner.tuner_type; keep one" in problems(path)[0]


def test_global_max_length_is_the_only_length_setting() -> None:
    assert config_from({**MINIMAL, "global_max_length": 512}).max_length == 512
    with pytest.raises(ConfigError, match=r"template.max_length: 256 contradicts global_max_length 512"):
        config_from({**MINIMAL, "global_max_length": 512, "template": {"max_length": 256}})


def test_a_config_is_frozen() -> None:
    config = config_from(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        config.training.seed = 3  # type: ignore[misc]


def test_every_key_is_documented() -> None:
    keys = documented_keys()
    assert all(doc.description for doc in keys)
    assert {"tuner.lora_rank", "custom.augmentation.ops[hflip].params.prob", "global_max_length"} <= {
        k.key for k in keys
    }
    assert len({doc.key for doc in keys}) == len(keys)
    assert set(TrainConfig.model_fields) == {doc.key.split(".")[0] for doc in keys}


def test_a_run_names_its_inspections(tmp_path: Path) -> None:
    def config(names: str) -> Path:
        named = HEAD.replace("t.jsonl}", f"t.jsonl, inspections: [{names}]}}")
        return write(tmp_path, main=f"{named}prompts: {{missions: [Sealing]}}\n")

    try:
        load_config(config("telecom, meters"))
        assert len(missions()) == 10
        assert "main.yaml:4: prompts.missions" in problems(config("telecom"))[0]
        found = problems(config("nowhere"))
        assert "main.yaml:3: custom.inspections" in found[0]
        assert "one of meters, telecom" in found[0]
    finally:
        activate(())
