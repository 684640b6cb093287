"""The end of a run over several processes."""

from __future__ import annotations

import gc

import torch


def end_process_group() -> None:
    """Closes the connections between the processes of a run; does nothing in a run of one process.

    Gloo's threads release the tensors of the last collectives with a delay. If the interpreter were already exiting by
    then, it would abort, after a successful run.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
