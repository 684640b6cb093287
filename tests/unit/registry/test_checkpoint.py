from __future__ import annotations

import json
from pathlib import Path

import pytest

from registry.checkpoint import merged_facts, read_checkpoint
from registry.errors import NotACheckpoint
from registry.values import VersionFacts
from tests.support.registry_models import BELONGS, write_adapter, write_model, write_safetensors


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_what_belongs_to_the_model_and_what_stays_behind(model: Path) -> None:
    (model / "runs").mkdir()
    (model / ".gitattributes").write_text("")
    (model / "LICENSE").write_text("Apache-2.0")
    checkpoint = read_checkpoint(model)
    assert set(checkpoint.files) == BELONGS | {"LICENSE"}
    assert set(checkpoint.left_out) == {".gitattributes", "args.json", "optimizer.pt", "runs/"}
    assert (checkpoint.kind, checkpoint.model_type, checkpoint.precision) == ("model", "qwen3_vl", "bfloat16")
    assert checkpoint.has_vision


def test_a_hugging_face_cache_is_links_all_over(model: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    for path in model.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert set(read_checkpoint(snapshot).files) == BELONGS


def test_further_chat_templates_belong_to_it(model: Path) -> None:
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "tools.jinja").write_text("{}")
    assert "additional_chat_templates/tools.jinja" in read_checkpoint(model).files


def test_our_own_export_says_where_it_comes_from(model: Path) -> None:
    said = {
        "contract": {"prompts": "p", "chat_template": None},
        "base": {"name": "Qwen/Qwen3-VL-4B-Instruct"},
        "adapter": "a",
        "dataset": "d",
        "config": "c",
        "git_revision": "g",
    }
    (model / "vqc_manifest.json").write_text(json.dumps(said))
    assert read_checkpoint(model).facts == VersionFacts(
        base_model="Qwen/Qwen3-VL-4B-Instruct",
        adapter="a",
        dataset="d",
        run="c",
        git_revision="g",
        contract={"prompts": "p"},
    )


def test_a_trainers_checkpoint_says_it_too(model: Path) -> None:
    said = {"base": "b", "config_digest": "c", "dataset_digest": "d", "git_revision": None, "contract": {"lines": "l"}}
    (model / "vqc_training.json").write_text(json.dumps(said))
    facts = read_checkpoint(model).facts
    assert (facts.base_model, facts.run, facts.dataset, facts.contract) == ("b", "c", "d", {"lines": "l"})


def test_what_the_caller_says_goes_over_what_the_directory_says() -> None:
    found = VersionFacts(dataset="d", run="r", contract={"prompts": "p"})
    assert merged_facts(found, None) == found
    assert merged_facts(found, VersionFacts(run="other")) == VersionFacts(
        dataset="d", run="other", contract={"prompts": "p"}
    )


def test_an_adapter_beside_whole_weights_is_a_model(model: Path) -> None:
    write_adapter(model / "adapter")
    for path in (model / "adapter").iterdir():
        path.rename(model / path.name)
    assert read_checkpoint(model).kind == "model"


def drop(name: str):
    return lambda model: (model / name).unlink()


def write(name: str, text: str):
    return lambda model: (model / name).write_text(text)


def pickled(model: Path) -> None:
    for path in model.glob("*.safetensors"):
        path.unlink()
    (model / "pytorch_model.bin").write_bytes(b"pickle")


def cut(model: Path) -> None:
    path = model / "model-00002-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def header_cut(model: Path) -> None:
    (model / "model-00002-of-00002.safetensors").write_bytes(b"\xff\0\0\0\0\0\0\0{")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (drop("config.json"), "it has no config.json"),
        (write("config.json", "{}"), "names no model_type"),
        (write("config.json", "[1]"), "JSON object"),
        (write("config.json", "{"), "is not JSON"),
        (drop("model-00002-of-00002.safetensors"), "missing shards: model-00002-of-00002.safetensors"),
        (pickled, "pickle"),
        (cut, "it is truncated: "),
        (header_cut, "header truncated"),
        (write("model-00002-of-00002.safetensors", "\x02\0\0\0\0\0\0\0[]"), "header cannot be read"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_sentence(model: Path, spoil, said: str) -> None:
    spoil(model)
    with pytest.raises(NotACheckpoint, match=said):
        read_checkpoint(model)


def test_a_directory_of_checkpoints_names_the_last_one(tmp_path: Path) -> None:
    write_model(tmp_path / "run" / "checkpoint-5")
    with pytest.raises(NotACheckpoint, match="did you mean 'checkpoint-5' inside it"):
        read_checkpoint(tmp_path / "run")


def test_a_file_and_an_empty_adapter_are_refused(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "file.safetensors", 10)
    with pytest.raises(NotACheckpoint, match="name a directory"):
        read_checkpoint(tmp_path / "file.safetensors")
    adapter = write_adapter(tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(NotACheckpoint, match="no adapter_model.safetensors"):
        read_checkpoint(adapter)
