"""A command whose output is wanted, and that must not outlive whoever waits for it."""

from __future__ import annotations

import asyncio


async def output_of(name: str, *command: str) -> str:
    """Its standard output; it is killed when the wait is cancelled.

    Raises:
        RuntimeError: it failed; the message names it and has the end of its standard error.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, complained = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}: {complained.decode()[-3000:]}")
    return said.decode()
