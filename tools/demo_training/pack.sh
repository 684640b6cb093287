#!/usr/bin/env bash
# Packs what run.sh needs on a GPU host without a network: this tree's code and the wheels that its Python 3.12 lacks.
#   tools/demo_training/pack.sh OUT      leaves OUT of 19 MB, to be carried as it is
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); out=$(realpath -m "$1"); root=$here/../..; mkdir -p "$out/wheels"
source "$here/../gpu_host.sh"
version() { sed -n "s/^$1==//p" "$root/constraints.txt"; }
for name in transformers accelerate pydantic pydantic_core annotated-types typing-inspection typing_extensions shapely structlog; do
    pip download -qqq --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" \
        -d "$out/wheels" "$name==$(version "$name")"
done
cp "$here/run.sh" "$here/judge.py" "$out"
tar -C "$root" -czf "$out/code.tar.gz" --exclude=__pycache__ --exclude='*.safetensors' \
    trainer vqc scenes inspections engine registry configs pyproject.toml deploy/__init__.py
du -sh "$out"
