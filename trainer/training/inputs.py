"""The inputs of a run: the checkpoint it starts from, its data, and the batches of one rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.config import TINY, TrainConfig
from trainer.data import dataset_from_config, validate
from trainer.data.dataset import SampleDataset
from trainer.model import tuners
from trainer.model.collate import Collator
from trainer.model.encode import Encoder
from trainer.model.packing import Batching, BatchSampler
from trainer.training.errors import UnhealthyRun
from trainer.training.logs import get_logger
from trainer.training.provenance import local_directory
from trainer.training.samples import EncodedSamples, EpochLoader, lengths, loader
from trainer.training.sharding import refuse_text_only
from vqc.cores import usable_cores
from vqc.errors import InvalidValue

LOG = get_logger("trainer.run")

FEW_PHOTOS = 64
"""Fewer photos than this are drawn in one process."""


def base_checkpoint(config: TrainConfig) -> str:
    """The directory of the initial weights: the model, an earlier full stage, or a tiny model that is created here.

    The path is absolute, so that this run's checkpoints find it from any working directory.

    Raises:
        InvalidValue: the model is not on this machine.
    """
    earlier = weights_from(config)
    if earlier is not None and not (earlier / tuners.ADAPTER_FILE).exists():
        return str(earlier.resolve())
    if config.model.model != TINY:
        return str(local_directory(config.model.model).resolve())
    from trainer.tiny_checkpoint import build_tiny_checkpoint

    directory = config.training.run_dir.resolve() / "tiny"
    with _first_rank_first():
        if not (directory / "config.json").exists():
            build_tiny_checkpoint(directory, seed=config.training.seed)
    return str(directory)


def data_files(config: TrainConfig) -> tuple[Path, Path | None]:
    """The JSONL files of training and evaluation: synthetic ones are drawn, named ones are validated.

    Raises:
        DataError: records that cannot be used.
        InvalidValue: the configuration names no training records.
    """
    custom = config.custom
    if custom.scenes is not None:
        from trainer.data.synthetic import draw_data

        scenes = custom.scenes
        photos = scenes.train.count + (scenes.val.count if scenes.val else 0)
        with _first_rank_first():
            LOG.info("drawing %d photos, unless they exist", photos)
            workers = usable_cores() if photos >= FEW_PHOTOS else 1
            paths = draw_data(scenes, config.training.run_dir / "scenes", workers)
        return paths["train"], paths.get("val")
    named = (custom.train_jsonl, custom.val_jsonl)
    train, val = (Path(name).expanduser() if name else None for name in named)
    for path, limit in ((train, custom.train_limit), (val, custom.val_limit)):
        if path is not None:
            report = validate(path, root=_root(config), summary_share=custom.summary_share, limit=limit)
            for warning in report.warnings[:20]:
                LOG.warning("%s", warning)
            report.raise_if_broken()
    if train is None:
        raise InvalidValue("custom.train_jsonl", None, "name the training records")
    return train, val


def datasets(config: TrainConfig, paths: tuple[Path, Path | None]) -> tuple[SampleDataset, SampleDataset | None]:
    """The training and evaluation samples of these files."""
    LOG.debug("training records %s; evaluation records %s", *paths)
    own = config.custom.scenes is not None
    train = dataset_from_config(config, "train", paths[0] if own else None)
    if paths[1] is None:
        return train, None
    return train, dataset_from_config(config, "val", paths[1] if own else None)


def loaders(
    config: TrainConfig,
    data: tuple[SampleDataset, SampleDataset | None],
    encoder: Encoder,
    collator: Collator,
    args: Any,
    planned: tuple[Any, list[int]],
) -> tuple[EpochLoader, EpochLoader | None]:
    """This rank's training batches, and its evaluation batches if the run evaluates.

    ``planned`` is (tokens of every training record, the records to use).

    Raises:
        UnhealthyRun: there are fewer training records than devices, or no evaluation record is within the length limit.
    """
    training = config.training
    rank, world = args.process_index, args.world_size
    if (count := len(planned[1])) < world:
        raise UnhealthyRun(
            [f"{count} training records are not enough for {world} devices; use fewer devices or more data"]
        )
    options: dict[str, Any] = {
        "workers": training.dataloader_num_workers,
        "pin_memory": args.dataloader_pin_memory,
        "prefetch": training.dataloader_prefetch_factor,
        "persistent": training.dataloader_persistent_workers,
    }
    batching = Batching(
        lengths=planned[0].tolist(),
        size=training.per_device_train_batch_size * (config.packing_length if training.packing else 1),
        packing=training.packing,
        grouped=training.group_by_length,
        seed=training.seed,
        indices=planned[1],
    )
    sampler = BatchSampler(batching, rank=rank, world=world)
    train = loader(EncodedSamples(data[0], encoder), sampler, collator, **options)
    if data[1] is None or training.eval_strategy == "no":
        return train, None
    tokens, photos = lengths(data[1], encoder, workers=training.dataloader_num_workers)
    refuse_text_only(config, photos)
    kept = [index for index, length in enumerate(tokens.tolist()) if length <= config.max_length]
    if not kept:
        shortest = f"the shortest has {tokens.min()} tokens" if len(tokens) else "there is none"
        raise UnhealthyRun([f"no evaluation record is within global_max_length {config.max_length}; {shortest}"])
    evaluation = Batching(
        lengths=tokens.tolist(),
        size=training.per_device_eval_batch_size * (config.packing_length if training.packing else 1),
        packing=training.packing,
        seed=training.seed,
        shuffle=False,
        indices=kept,
    )
    if len(kept) < world:  # then each device evaluates all records, which changes no mean
        rank, world = 0, 1
    sampler = BatchSampler(evaluation, rank=rank, world=world)
    return train, loader(EncodedSamples(data[1], encoder), sampler, collator, **options)


def weights_from(config: TrainConfig) -> Path | None:
    """The checkpoint of which only the weights are loaded, or None."""
    training = config.training
    named = training.resume_from_checkpoint if training.resume_only_model else config.tuner.resume_from_checkpoint
    return Path(named).expanduser() if named else None


def _root(config: TrainConfig) -> Path | None:
    return Path(config.custom.root_image_dir).expanduser() if config.custom.root_image_dir else None


def _first_rank_first() -> Any:
    from accelerate import PartialState

    return PartialState().main_process_first()
