from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from registry.checkpoint import merged_facts, read_checkpoint
from registry.errors import NotACheckpoint
from registry.values import VersionFacts
from tests.support.registry_models import BELONGS, CONFIG, write_adapter, write_model, write_safetensors


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


def hugging_face_cache(model: Path, cache: Path) -> Path:
    snapshot = cache / "models--Qwen--Qwen3-VL" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "blobs").mkdir()
    for number, path in enumerate(sorted(model.iterdir())):
        path.rename(snapshot.parents[1] / "blobs" / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def test_a_hugging_face_cache_is_links_all_over(model: Path, tmp_path: Path) -> None:
    assert set(read_checkpoint(hugging_face_cache(model, tmp_path / "hub")).files) == BELONGS


def test_a_hugging_face_cache_whose_blob_is_a_link_is_refused(model: Path, tmp_path: Path) -> None:
    snapshot = hugging_face_cache(model, tmp_path / "hub")
    blob = (snapshot / "README.md").resolve()
    blob.unlink()
    blob.symlink_to("/etc/hostname")
    with pytest.raises(NotACheckpoint, match="leaves the directory"):
        read_checkpoint(snapshot)


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


def config(**changes: object):
    return lambda model: (model / "config.json").write_text(json.dumps(CONFIG | changes))


def index(**weight_map: str):
    return write("model.safetensors.index.json", json.dumps({"weight_map": weight_map}))


def spare(name: str):
    return lambda model: write_safetensors(model / name, 10)


def pointer(name: str):
    return write(name, f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 11422654\n")


def header(tensors: dict[str, object], count: int):
    content = json.dumps(tensors).encode()
    shard = len(content).to_bytes(8, "little") + content + bytes(count)
    return lambda model: (model / "model-00002-of-00002.safetensors").write_bytes(shard)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (drop("config.json"), "it has no config.json"),
        (write("config.json", "{}"), "names no model_type"),
        (write("config.json", '{"model_type": "qwen3_vl"}'), "names no architectures"),
        (config(architectures=["Qwen3VLMoeForConditionalGeneration"]), "'qwen3_vl' is not a Qwen3VLMoe"),
        (config(architectures=["LlamaForCausalLM"]), "'qwen3_vl' is not a Llama"),
        (config(model_type="llama"), "'llama' is not a Qwen3VL"),
        (config(auto_map={"AutoModel": "m.M"}), "names code"),
        (config(text_config={"num_hidden_layers": 3}), "num_hidden_layers 3, but its weights hold 0"),
        (config(vision_config={"depth": 2}), "vision_config.depth 2"),
        (config(text_config={"vocab_size": 10, "hidden_size": 4}), r"embeddings of \[10, 4\]"),
        (drop("tokenizer.json"), "it has no tokenizer"),
        (write("tokenizer.json", "{}"), "not a tokenizer"),
        (write("tokenizer.json", "[" * 100_000), "nested too deeply"),
        (drop("chat_template.jinja"), "no chat template"),
        (write("chat_template.jinja", ""), "no chat template"),
        (drop("preprocessor_config.json"), "no preprocessor_config.json"),
        (write("preprocessor_config.json", "{}"), "no preprocessor_config.json"),
        (write("generation_config.json", "{"), "is not JSON"),
        (drop("model.safetensors.index.json"), "neither model.safetensors nor shards"),
        (write("model.safetensors.index.json", "{}"), "no weight_map"),
        (index(w0="model-00001-of-00002.safetensors"), "does not list model-00002-of-00002"),
        (index(w0="model-00001-of-00002.safetensors", w1="model-00001-of-00002.safetensors"), "does not list"),
        (
            index(
                w0="model-00001-of-00002.safetensors",
                w1="model-00002-of-00002.safetensors",
                w2="model-00002-of-00002.safetensors",
            ),
            "lists 'w2' in model-00002",
        ),
        (spare("model.safetensors"), "does not list model.safetensors"),
        (spare("model-00003-of-00003.safetensors"), "does not list model-00003"),
        *((pointer(name), "Git LFS pointer") for name in sorted(BELONGS)),
        (write("pytorch_model.bin", "x"), "pytorch_model.bin is a pickle"),
        (write("weights.pkl", "x"), "weights.pkl is a pickle"),
        (write("model.pt", "x"), "model.pt is a pickle"),
        (write("modeling_qwen.py", "x"), "modeling_qwen.py is code"),
        (write("model.gguf", "x"), "model.gguf is of a kind"),
        (write("notes", "x"), "notes is of a kind"),
        (lambda model: (model / "merges.txt").write_bytes(b"\x80\x04\x95"), "a pickle or an archive"),
        (lambda model: (model / "spiece.model").write_bytes(b"PK\x03\x04"), "a pickle or an archive"),
        (lambda model: (model / "README.md").write_bytes(b"\xff\xfe"), "UTF-8"),
        (header({"w1": {"dtype": "U8", "shape": [2], "data_offsets": [0, 3]}}, 3), "does not fill its bytes"),
        (header({"w1": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]}}, 4), "does not follow"),
        (header({"w1": {"dtype": "X9", "shape": [3], "data_offsets": [0, 3]}}, 3), "unknown type"),
        (header({"w1": {"dtype": "U8", "shape": [-3], "data_offsets": [0, -3]}}, 0), "negative"),
        (header({"w1": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}}, 4), "truncated"),
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


@pytest.mark.parametrize(
    "name", ["optimizer.bin", "scheduler.pt", "rng_state_0.pth", "training_args.bin", "run.log", "zero_to_fp32.py"]
)
def test_what_a_trainer_leaves_is_left_out(model: Path, name: str) -> None:
    (model / name).write_bytes(b"x")
    checkpoint = read_checkpoint(model)
    assert name in checkpoint.left_out
    assert name not in checkpoint.files


def test_the_model_that_is_shipped_can_be_pushed() -> None:
    shipped = Path(__file__).parents[3] / "deploy" / "demo" / "model"
    assert "model.safetensors" in read_checkpoint(shipped).files


@pytest.mark.parametrize("part", ["num_hidden_layers", "vocab_size", "hidden_size"])
def test_the_shipped_model_with_another_size_is_refused(tmp_path: Path, part: str) -> None:
    shipped = Path(__file__).parents[3] / "deploy" / "demo" / "model"
    model = shutil.copytree(shipped, tmp_path / "model")
    declared = json.loads((model / "config.json").read_text())
    declared["text_config"][part] += 1
    (model / "config.json").write_text(json.dumps(declared))
    with pytest.raises(NotACheckpoint, match="its weights hold"):
        read_checkpoint(model)


def link(name: str, target: str):
    return lambda model: (model / name).symlink_to(target)


def chain(model: Path) -> None:
    (model / "a.txt").symlink_to("b.txt")
    (model / "b.txt").symlink_to("/etc/hostname")


def out_and_in_again(model: Path) -> None:
    (model.parent / "outside").symlink_to(model / "README.md")
    (model / "a.txt").symlink_to("../outside")


def through_a_directory(model: Path) -> None:
    (model / "sub").symlink_to("/etc")
    (model / "a.txt").symlink_to("sub/hostname")


def template_directory(model: Path) -> None:
    (model.parent / "away").mkdir()
    (model.parent / "away" / "x.jinja").write_text("secret")
    (model / "additional_chat_templates").symlink_to(model.parent / "away")


def template_in_directory(model: Path) -> None:
    (model / "additional_chat_templates").mkdir()
    (model / "additional_chat_templates" / "x.jinja").symlink_to("/etc/hostname")


def loop(model: Path) -> None:
    (model / "a.txt").symlink_to("b.txt")
    (model / "b.txt").symlink_to("a.txt")


@pytest.mark.parametrize(
    "spoil",
    [
        link("shadow.txt", "/etc/shadow"),
        link("shadow.txt", "../../../../../../../../etc/hostname"),
        link("logs", "/var/log"),
        link("logs", ".."),
        link("logs", "sub/.."),
        link(".hidden", "/etc"),
        link("optimizer.pt.old.log", "/etc/hostname"),
        link("dead.txt", "nothing.txt"),
        link("dead.txt", "/nothing"),
        chain,
        out_and_in_again,
        through_a_directory,
        template_directory,
        template_in_directory,
        loop,
    ],
)
def test_a_link_that_leaves_the_directory_is_refused(model: Path, spoil) -> None:
    spoil(model)
    with pytest.raises(NotACheckpoint, match="it is a link that le"):
        read_checkpoint(model)


def test_a_link_inside_the_directory_is_followed(model: Path) -> None:
    (model / "LICENSE.txt").write_text("Apache-2.0")
    (model / "LICENSE").symlink_to("LICENSE.txt")
    (model / "a.txt").symlink_to(model / "LICENSE")
    (model / "templates").mkdir()
    (model / "templates" / "x.jinja").write_text("x")
    (model / "additional_chat_templates").symlink_to("templates")
    assert {"LICENSE", "a.txt", "additional_chat_templates/x.jinja"} < set(read_checkpoint(model).files)


def test_a_directory_that_is_itself_a_link_can_be_pushed(model: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(model)
    (model / "LICENSE").symlink_to(model / "README.md")
    assert set(read_checkpoint(tmp_path / "latest").files) == BELONGS | {"LICENSE"}


def listening(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


@pytest.mark.parametrize(("make", "said"), [(os.mkfifo, "named pipe"), (listening, "socket")])
@pytest.mark.parametrize("name", ["a.txt", "scheduler.pt", "model.safetensors"])
def test_a_special_file_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch, make, said: str, name: str) -> None:
    monkeypatch.chdir(model)
    make(name)
    with pytest.raises(NotACheckpoint, match=said):
        read_checkpoint(model)


def test_a_link_to_a_device_is_refused(model: Path) -> None:
    (model / "a.txt").symlink_to("/dev/zero")
    with pytest.raises(NotACheckpoint, match="leaves the directory"):
        read_checkpoint(model)
