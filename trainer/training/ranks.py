"""The end of a run over several processes."""

from __future__ import annotations

import gc

import torch


def end_process_group() -> None:
    """Ends the processes' connections once nothing of the run is in use; without other processes nothing happens.

    Gloo's threads let go of the last collectives' tensors when they get to it. An interpreter that is already ending would
    abort in them, after a run that went well.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
