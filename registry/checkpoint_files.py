"""Which files of a directory are pushed: an allow-list of kinds, files a trainer leaves behind, everything else refused.

A link may only point inside the directory. The one exception is the local Hugging Face cache, whose snapshots are links
into the ``blobs`` folder beside them.
"""

from __future__ import annotations

import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path

from registry.errors import NotACheckpoint
from registry.names import is_inside

_PARTS = (".safetensors", ".json", ".jinja", ".txt", ".model", ".tiktoken", ".md")
_DOCUMENTS = ("LICENSE", "NOTICE", "USE_POLICY")
_TEMPLATES = "additional_chat_templates"
_LEFT_OUT = (
    *("trainer_state.json", "args.json", "sft_args.json", "all_results.json", "*_results.json", "config.yaml"),
    *("optimizer*.pt", "optimizer*.bin", "scheduler*.pt", "scaler*.pt", "rng_state*.pth", "training_args.bin"),
    *("zero_to_fp32.py", "latest", "*.jsonl", "*.log", "*.csv", "events.out.tfevents.*", "*.lock", "vqc_*.pt"),
    *("*.png", "*.jpg", "*.jpeg", "*.gif", "*.svg", "*.webp"),
)
"""What trainers and model cards leave beside a model; it is not pushed, and listed as left out."""
_POINTERS = (
    b"version https://git-lfs.github.com/spec/",
    b"version https://hawser.github.com/spec/",
    b"/annex/objects/",
)
_ZIP_OR_PICKLE = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TEXT = (".json", ".jinja", ".txt", ".tiktoken", ".md")
_HOPS = 40
_SPECIAL = {stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def pushed_files(directory: Path) -> tuple[list[str], list[str]]:
    """The files that belong to the model and those that are left out, as sorted relative paths.

    Raises:
        NotACheckpoint: a link that leaves the directory, a special file, a Git LFS pointer, or a kind that is not pushed.
    """
    files: list[str] = []
    left_out: list[str] = []
    for path in sorted(directory.iterdir()):
        name = path.name
        _check_entry(path, directory)
        if path.is_dir():
            if name == _TEMPLATES:
                for part in sorted(path.iterdir()):
                    _check_entry(part, directory)
                    (files if part.name.endswith(".jinja") and part.is_file() else left_out).append(
                        f"{name}/{part.name}"
                    )
            else:
                left_out.append(f"{name}/")
        elif name.startswith(".") or any(fnmatchcase(name, pattern) for pattern in _LEFT_OUT):
            left_out.append(name)
        elif name.endswith(_PARTS) or name.startswith(_DOCUMENTS):
            files.append(name)
        else:
            raise NotACheckpoint(path, _refusal(name))
    for name in files:
        if not is_inside(name):
            raise NotACheckpoint(
                directory / name, "its name must be printable text of at most 255 bytes, without \\; rename it"
            )
        _check_content(directory / name)
    return files, left_out


def is_pickle(name: str) -> bool:
    """Whether a file of this name is unpickled when it is loaded, which runs code."""
    return name.lower().endswith(
        (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz", ".dill")
    )


def is_code(name: str) -> bool:
    """Whether a file of this name is code."""
    return name.lower().endswith(
        (".py", ".pyc", ".pyd", ".pth", ".so", ".sh", ".dll", ".dylib", ".exe", ".bat", ".ps1")
    )


def _refusal(name: str) -> str:
    if is_pickle(name):
        return f"{name} is a pickle, which is rejected: save weights as safetensors, and remove it from the directory"
    if is_code(name):
        return f"{name} is code, which is rejected: a version holds weights and settings only; remove it"
    kinds = ", ".join(_PARTS)
    return f"{name} is of a kind that is not pushed ({kinds}, {', '.join(_DOCUMENTS)}); remove it from the directory"


def _check_entry(path: Path, directory: Path) -> None:
    """Raises NotACheckpoint for a link that leaves ``directory`` or leads nowhere, and for a special file."""
    if path.is_symlink():
        _check_link(path, directory)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise NotACheckpoint(path, f"it is {_SPECIAL.get(stat.S_IFMT(mode), 'a special file')}; remove it")


def _check_link(path: Path, directory: Path) -> None:
    """Follows a link step by step: every step must stay inside, also where a later one returns."""
    root = Path(os.path.realpath(directory))
    cache = _hugging_face_blobs(root)
    step = root / path.relative_to(directory)
    for _ in range(_HOPS):
        target = os.path.join(step.parent, os.readlink(step)).rstrip("/") or "/"
        name = os.path.basename(target)
        step = Path(os.path.realpath(target if name in ("", ".", "..") else os.path.dirname(target))) / (
            "" if name in ("", ".", "..") else name
        )
        inside = step.is_relative_to(root) and step != root
        in_cache = cache is not None and step.parent == cache and not step.is_symlink()
        if not inside and not in_cache:
            raise NotACheckpoint(path, f"it is a link that leaves the directory (to {target}); copy the file here")
        if not step.is_symlink():
            break
    if not step.exists() or step.is_symlink():
        raise NotACheckpoint(path, "it is a link that leads nowhere; remove it or copy the file here")


def _hugging_face_blobs(root: Path) -> Path | None:
    """The ``blobs`` folder of ``models--…/snapshots/<revision>``; None for any other directory."""
    repository = root.parent.parent
    if root.parent.name == "snapshots" and repository.name.startswith("models--"):
        return repository / "blobs"
    return None


def _check_content(path: Path) -> None:
    """Raises NotACheckpoint for a pointer instead of the file, and for a pickle or archive under another name."""
    with path.open("rb") as file:
        start = file.read(100)
    if start.startswith(_POINTERS):
        raise NotACheckpoint(path, "it is a Git LFS pointer, not the file: run `git lfs pull` and push again")
    if path.suffix == ".safetensors":
        return
    if start.startswith(_ZIP_OR_PICKLE):
        raise NotACheckpoint(path, "it holds a pickle or an archive, which is rejected")
    if path.suffix in _TEXT:
        try:
            path.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise NotACheckpoint(path, f"it must be UTF-8 text: {error}") from error
