#!/usr/bin/env python3
"""Makes .venv with everything the Makefile's commands need; a second run with nothing changed does nothing.

    python3 tools/setup_venv.py [--venv DIR] [--constraints FILE] [EXTRA …]        default extras: cpu train dev

An image of ours installs in the same way: --requirements leaves our own packages out, --torch cuda is for one that trains.
Versions come from the constraints, by default constraints.txt. PyTorch's own CPU index is used where it answers (a few
hundred MB instead of a CUDA build of several GB); where it does not, pip takes torch from wherever it is configured to
look, and a start-up hook lets PyPI's torchvision import beside a CPU torch. Standard library only.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tomllib
import venv
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH_HOST = "download.pytorch.org"

# PyPI has no CPU torchvision, and its CUDA build cannot load its compiled operators beside a CPU torch: the import dies
# with "operator torchvision::nms does not exist". Resizing and normalising, all that Qwen3-VL's processor uses, need no
# compiled operator, so declaring the two that the import looks for is enough. With a CPU torchvision it does nothing.
TORCHVISION_HOOK = """
import importlib.abc, importlib.machinery, pathlib, sys

class _DeclareOperators(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name)
        version = pathlib.Path(spec.origin).with_name("version.py").read_text() if spec else ""
        import torch
        if "+cu" in version and not torch.backends.cuda.is_built():
            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            sys._torchvision_operators = library
        return None

sys.meta_path.insert(0, _DeclareOperators())
"""


def main(extras: list[str], environment: Path, constraints: Path, *, requirements: bool, torch: str) -> None:
    """Sets the environment up unless its stamp says that it is."""
    if sys.version_info < (3, 11):
        sys.exit(f"vqc needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}")
    inputs = [ROOT / "pyproject.toml", constraints, Path(__file__)]
    digest = sha256(b"".join(path.read_bytes() for path in inputs) + " ".join(extras).encode()).hexdigest()
    state = f"{digest} {ROOT}"
    stamp = environment / "setup-stamp"
    if stamp.exists() and stamp.read_text() == state:
        return
    if not (environment / "bin" / "python").exists():
        print(f"creating {environment.name}")
        venv.create(environment, with_pip=True)
    print(f"installing vqc[{','.join(extras)}]: a few GB and about two minutes the first time")
    targets = requirements_of(extras) if requirements else ["-e", f".[{','.join(extras)}]"]
    pip(environment, "install", "-c", str(constraints), *(torch_index() if torch == "cpu" else []), *targets)
    # They need CUDA's libraries to import, and nothing here hears or films.
    pip(environment, "uninstall", "-y", "torchaudio", "torchcodec")
    install_torchvision_hook(environment)
    stamp.write_text(state)


def pip(environment: Path, *arguments: str) -> None:
    """Runs the environment's pip; its chatter goes to a log that is shown only if it fails."""
    command = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{ran.stdout[-4000:]}\nfailed: {' '.join(command)}")


def requirements_of(extras: list[str]) -> list[str]:
    """What our packages and these extras of them require."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]


def torch_index() -> list[str]:
    """pip's option for PyTorch's CPU index, where that can be reached."""
    try:
        socket.create_connection((TORCH_HOST, 443), timeout=3).close()
    except OSError:
        return []
    return ["--extra-index-url", f"https://{TORCH_HOST}/whl/cpu"]


def install_torchvision_hook(environment: Path) -> None:
    """Writes the start-up hook into the environment."""
    site = next((environment / "lib").glob("python3.*")) / "site-packages"
    (site / "_torchvision_cpu.py").write_text(TORCHVISION_HOOK)
    (site / "_torchvision_cpu.pth").write_text("import _torchvision_cpu\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="(default: cpu train dev)")
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="(default: %(default)s)")
    parser.add_argument("--constraints", type=Path, default=Path("constraints.txt"), help="(default: %(default)s)")
    parser.add_argument("--requirements", action="store_true", help="install what our packages require, not them")
    parser.add_argument("--torch", choices=["cpu", "cuda"], default="cpu", help="build of torch (default: %(default)s)")
    options = parser.parse_args()
    main(
        options.extras or ["cpu", "train", "dev"],
        ROOT / options.venv,
        ROOT / options.constraints,
        requirements=options.requirements,
        torch=options.torch,
    )
