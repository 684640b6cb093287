"""Runs a command for its output, and ends it with the task that waits for it."""

from __future__ import annotations

import asyncio


async def output_of(name: str, *command: str) -> str:
    """The standard output of a command; cancelling the wait kills it.

    Raises:
        RuntimeError: it failed; the message has its name and the end of its standard error.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        raise RuntimeError(f"{name} ended with {process.returncode}: {errors.decode()[-3000:]}")
    return output.decode()
