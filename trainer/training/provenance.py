"""The provenance of a checkpoint, which training writes and export copies into the manifest."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from vqc.errors import InvalidValue

FILE = "vqc_training.json"
MODEL_TYPE = "qwen3_vl"
PROCESSOR_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
    "generation_config.json",
)
"""The files that a checkpoint needs in addition to weights and config; copied byte for byte, never rewritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The run that wrote a checkpoint. ``base`` is the directory or name it started from; digests are SHA-256 (hex)."""

    base: str
    config_digest: str
    dataset_digest: str
    git_revision: str | None
    contract: dict[str, str]

    def write(self, directory: Path) -> None:
        """Writes it into a checkpoint directory."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2)
        (directory / FILE).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, directory: Path) -> Provenance | None:
        """The provenance in a checkpoint directory; None if another tool wrote the checkpoint."""
        path = directory / FILE
        return cls(**json.loads(path.read_text("utf-8"))) if path.exists() else None


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 (hex) of a text."""
    return sha256(text.encode()).hexdigest()


def git_revision() -> str | None:
    """The commit of the running source, with ``-dirty`` if it has changes; None outside a repository."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def copy_processor(source: Path, target: Path) -> list[str]:
    """Copies tokenizer, processors, chat template and generation config; returns the names copied."""
    copied: list[str] = []
    for name in PROCESSOR_FILES:
        if (source / name).exists() and (source / name).resolve() != (target / name).resolve():
            shutil.copyfile(source / name, target / name)
            copied.append(name)
    return copied


def local_directory(model: str | Path) -> Path:
    """The directory of a checkpoint given as a path or as the name of a model in the local Hugging Face cache.

    Raises:
        InvalidValue: it is neither, or of another family than Qwen3-VL; nothing is ever downloaded.
    """
    if (directory := Path(model).expanduser()).is_dir():
        return require_qwen3_vl(directory)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return require_qwen3_vl(Path(snapshot_download(str(model), local_files_only=True)))
    except (LocalEntryNotFoundError, HFValidationError) as error:
        valid = "must be a checkpoint directory, or a model in the local Hugging Face cache; nothing is downloaded"
        raise InvalidValue("model.model", str(model), valid) from error


def require_qwen3_vl(directory: Path) -> Path:
    """The directory, unless its ``config.json`` is that of another family.

    transformers would load such a checkpoint as Qwen3-VL, and draw at random the layers that it does not find.

    Raises:
        InvalidValue: it is a mixture of experts, Qwen2.5-VL or another model.
    """
    file = directory / "config.json"
    if not file.is_file():
        return directory
    try:
        found = json.loads(file.read_bytes()).get("model_type")
    except (ValueError, AttributeError) as error:
        raise InvalidValue("model", str(directory), "its config.json is not a JSON object") from error
    if found != MODEL_TYPE:
        valid = f"its config.json is of model_type {found!r}; only {MODEL_TYPE!r}, the dense Qwen3-VL, can be trained"
        raise InvalidValue("model", str(directory), valid)
    return directory
