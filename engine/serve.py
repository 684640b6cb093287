"""An engine alone, in a container of its own: ``python -m engine.serve MODEL`` becomes vLLM with the profile's flags.

The same flags as the managed engine's, on a port; the service reaches it through ``VQC_ENGINE_URL``. Needs nothing but the
standard library, so that it runs in vLLM's own image. Further flags are vLLM's and win.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from engine.profile import DRAFTS, EngineSettings, vllm_command, vllm_environment


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Replaces this process by vLLM, so that signals reach it. Ends with code 2 where MODEL is no checkpoint."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.serve", description="Serve a checkpoint; further flags are vLLM's."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="checkpoint directory")
    parser.add_argument("--name", default="default", help="name it is served under: VQC_MODEL_ALIAS [default]")
    parser.add_argument("--digest", help="digest of MODEL: answers then name NAME@DIGEST, which proves what wrote them")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on [8000]")
    parser.add_argument("--profile", choices=["auto", "cpu", "gpu"], default="auto", help="hardware [auto]")
    parser.add_argument("--max-model-len", type=int, default=8192, help="longest prompt plus answer, tokens [8192]")
    parser.add_argument("--drafts", type=int, default=DRAFTS, help=f"tokens guessed ahead, 0 for none [{DRAFTS}]")
    parser.add_argument(
        "--shutdown-s", type=int, default=60, help="on SIGTERM, most seconds for requests in flight to finish [60]"
    )
    options, further = parser.parse_known_args(arguments)
    if not (options.model / "config.json").is_file():
        parser.error(f"{str(options.model)!r} is no checkpoint: it has no config.json")
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
