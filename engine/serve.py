"""An engine in a container of its own: ``python -m engine.serve MODEL`` becomes vLLM with the profile's flags.

The flags are those of the managed engine, on a port; the service connects to it through ``VQC_ENGINE_URL``. Standard
library only, so that it runs in vLLM's own image. Other flags are passed to vLLM and override.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from engine.profile import DRAFTS, EngineSettings, vllm_command, vllm_environment


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Replaces this process with vLLM, so that vLLM receives the signals. Exit code 2 if MODEL is not a checkpoint."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.serve", description="Serve a checkpoint; other flags are passed to vLLM."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="checkpoint directory")
    parser.add_argument("--name", default="default", help="served model name (VQC_MODEL_ALIAS) [default]")
    parser.add_argument("--digest", help="digest of MODEL; answers then contain NAME@DIGEST as proof of origin")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on [8000]")
    parser.add_argument("--profile", choices=["auto", "cpu", "gpu"], default="auto", help="hardware [auto]")
    parser.add_argument("--max-model-len", type=int, default=8192, help="limit for prompt plus answer, tokens [8192]")
    parser.add_argument("--drafts", type=int, default=DRAFTS, help=f"draft tokens, 0 for none [{DRAFTS}]")
    parser.add_argument(
        "--shutdown-s", type=int, default=60, help="time for requests in flight after SIGTERM, seconds [60]"
    )
    options, further = parser.parse_known_args(arguments)
    if not (options.model / "config.json").is_file():
        parser.error(f"{str(options.model)!r} is not a checkpoint: it has no config.json")
    names = ("--served-model-name", f"{options.name}@{options.digest}", options.name) if options.digest else ()
    settings = EngineSettings(
        model=options.model,
        served_name=options.name,
        profile=options.profile,
        max_model_len=options.max_model_len,
        shutdown_s=options.shutdown_s,
        drafts=options.drafts,
        extra_args=(*names, *further),
    )
    command = vllm_command(settings, (options.host, options.port))
    print("starting:", *command, flush=True)
    os.execve(command[0], command, {**os.environ, **vllm_environment(settings)})


if __name__ == "__main__":
    main()
