"""A training run from its configuration to its last checkpoint."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from trainer.config import TINY, TrainConfig, resolved_yaml
from trainer.data import dataset_from_config, validate
from trainer.data.dataset import SampleDataset
from trainer.model import network, tuners
from trainer.model.collate import Collator
from trainer.model.encode import Encoder
from trainer.model.packing import Batching, BatchSampler
from trainer.model.towers import Tower
from trainer.training import callbacks, health
from trainer.training.arguments import autocasts, training_arguments, weight_dtype
from trainer.training.logs import get_logger, without_loading_bars
from trainer.training.provenance import (
    Provenance,
    copy_processor,
    file_digest,
    git_revision,
    local_directory,
    text_digest,
)
from trainer.training.run_trainer import RunTrainer
from trainer.training.samples import EncodedSamples, EpochLoader, lengths, loader
from trainer.training.trouble import OutOfMemory
from vqc.contract import contract_digests
from vqc.errors import InvalidValue

LOG = get_logger("trainer.run")

FEW_PHOTOS = 64
"""Fewer photos than this are drawn in this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Where a run ended. ``checkpoint`` is the last one saved (None: nothing was), ``best`` the best evaluated."""

    steps: int
    checkpoint: Path | None
    best: Path | None
    metrics: dict[str, float]

    def as_dict(self) -> dict[str, object]:
        """The result as JSON values."""
        return {
            "steps": self.steps,
            "checkpoint": str(self.checkpoint) if self.checkpoint else None,
            "best": str(self.best) if self.best else None,
            **self.metrics,
        }


def run(config: TrainConfig, *, debug: bool = False) -> RunResult:
    """Trains and saves.

    Raises:
        DataError: records that cannot be used, each named by file, line and rule.
        UnhealthyRun: checks before training failed.
        TrainingError: the run cannot go on; the message says what to do.
    """
    trainer = prepared(config, debug=debug)
    training = config.training
    resume = training.resume_from_checkpoint if not training.resume_only_model else None
    try:
        output = trainer.train(resume_from_checkpoint=resume)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(trainer.state.global_step, str(error).splitlines()[0]) from error
    trainer.save_final()
    if training.load_best_model_at_end:
        trainer.load_best()
    best = trainer.state.best_model_checkpoint
    last = Path(training.run_dir, f"checkpoint-{output.global_step}")
    return RunResult(
        steps=output.global_step,
        checkpoint=last if last.is_dir() else _latest(training.run_dir),
        best=Path(best) if best else None,
        metrics={"train_loss": output.training_loss},
    )


def prepared(config: TrainConfig, *, debug: bool = False) -> RunTrainer:
    """The trainer of a run, everything loaded and checked, nothing trained yet."""
    training, run_dir = config.training, config.training.run_dir
    # First of all, so that torch.distributed and the device are set up before anything is shared between ranks.
    training_arguments(config)
    without_loading_bars()
    set_seed(training.seed)
    base = base_checkpoint(config)
    paths = data_files(config)
    data = datasets(config, paths)
    encoder = Encoder.load(base, max_length=config.max_length, truncate=config.template.truncation_strategy == "right")
    workers = training.dataloader_num_workers
    tokens, photos = lengths(data[0], encoder, workers=workers)
    records = health.usable_records(tokens, config, data[0])
    LOG.info(
        "%d of %d training samples, %.0f tokens on average, %d at most",
        len(records), len(tokens), tokens[records].mean(), tokens[records].max(),
    )  # fmt: skip
    attn_impl = network.chosen_attention(config.model.attn_impl, packing=training.packing)
    model = network.load(base, dtype=weight_dtype(config), attn_impl=attn_impl, pixel_table=encoder.pixels.table_CV)
    facts = model.facts(encoder.pad_token)
    health.check_samples(data[0], encoder, facts, records)
    if debug or config.custom.dump_conversation_text:
        _dump(config, data[0], encoder, records[0])
    collator = Collator(facts=facts, row=training.packing or attn_impl == "varlen")
    args = training_arguments(config, text_only_samples=bool((photos[records] == 0).any()))
    if args.n_gpu > 1:
        args._n_gpu = 1  # one process a device: torchrun starts the others
    loaders = _loaders(config, data, encoder, collator, args, (tokens, records))
    steps = _steps(config, len(loaders[0]))
    model = tuners.tuned(model, config.tuner, total_steps=steps, masters=autocasts(config))
    _take_over(model, config)
    health.check_model(model, config, photos=int(photos[records].sum()))
    _checkpointing(model, config)
    _report(model, attn_impl, steps)
    provenance = _provenance(config, base, paths[0])
    source = local_directory(base)

    def finish(directory: Path) -> None:
        copy_processor(source, directory)
        provenance.write(directory)

    watchers = [
        callbacks.SaveTiming(training),
        callbacks.MetricsFile(run_dir, tensorboard="tensorboard" in training.report_to),
        callbacks.Progress(),
        callbacks.Soundness(),
        *([callbacks.RankAllocation()] if config.tuner.tuner_type == "adalora" and tuners.is_adapter(model) else []),
    ]
    if args.should_save:
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / "config.yaml").write_text(resolved_yaml(config), encoding="utf-8")
    return RunTrainer(model, args, training, loaders=loaders, finish=finish, callbacks=watchers)


def base_checkpoint(config: TrainConfig) -> str:
    """Directory or name that the weights come from: the model, an earlier full stage, or a tiny one made here."""
    earlier = _weights_from(config)
    if earlier is not None and not (earlier / tuners.ADAPTER_FILE).exists():
        return str(earlier)
    if config.model.model != TINY:
        return config.model.model
    from trainer.tiny_checkpoint import build_tiny_checkpoint

    directory = config.training.run_dir / "tiny"
    with _first_rank_first():
        if not (directory / "config.json").exists():
            build_tiny_checkpoint(directory, seed=config.training.seed)
    return str(directory)


def data_files(config: TrainConfig) -> tuple[Path, Path | None]:
    """The JSONL files of training and evaluation: drawn first when scenes are asked for, validated when named."""
    custom = config.custom
    if custom.scenes is not None:
        from trainer.data.drawn import draw_data

        scenes = custom.scenes
        photos = scenes.train.count + (scenes.val.count if scenes.val else 0)
        with _first_rank_first():
            LOG.info("drawing %d photos, unless they are there", photos)
            workers = _cpus() if photos >= FEW_PHOTOS else 1
            drawn = draw_data(scenes, config.training.run_dir / "scenes", workers)
        return drawn["train"], drawn.get("val")
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
    """Training and evaluation samples of these files."""
    own = config.custom.scenes is not None
    train = dataset_from_config(config, "train", paths[0] if own else None)
    if paths[1] is None:
        return train, None
    return train, dataset_from_config(config, "val", paths[1] if own else None)


def _loaders(
    config: TrainConfig,
    data: tuple[SampleDataset, SampleDataset | None],
    encoder: Encoder,
    collator: Collator,
    args: Any,
    planned: tuple[Any, list[int]],
) -> tuple[EpochLoader, EpochLoader | None]:
    training = config.training
    rank, world = args.process_index, args.world_size
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
    tokens, _ = lengths(data[1], encoder, workers=training.dataloader_num_workers)
    evaluation = Batching(
        lengths=tokens.tolist(),
        size=training.per_device_eval_batch_size * (config.packing_length if training.packing else 1),
        packing=training.packing,
        seed=training.seed,
        shuffle=False,
        indices=[index for index, length in enumerate(tokens.tolist()) if length <= config.max_length],
    )
    sampler = BatchSampler(evaluation, rank=rank, world=world)
    return train, loader(EncodedSamples(data[1], encoder), sampler, collator, **options)


def _steps(config: TrainConfig, batches: int) -> int:
    training = config.training
    if training.max_steps:
        return training.max_steps
    per_epoch = -(-batches // training.gradient_accumulation_steps)
    return max(1, -int(-training.num_train_epochs * per_epoch // 1))


def _take_over(model: Any, config: TrainConfig) -> None:
    earlier = _weights_from(config)
    if earlier is not None and (earlier / tuners.ADAPTER_FILE).exists():
        if not tuners.is_adapter(model):
            raise tuners.EarlierStageMismatch(
                f"{str(earlier)!r} is an adapter, but this stage trains none; run `vqc-train export` on it and start "
                "from the merged model"
            )
        tuners.load_earlier_stage(model, earlier)
        LOG.info("weights of the earlier stage %s taken over", earlier)


def _weights_from(config: TrainConfig) -> Path | None:
    """The checkpoint whose weights alone are taken, or None."""
    training = config.training
    named = training.resume_from_checkpoint if training.resume_only_model else config.tuner.resume_from_checkpoint
    return Path(named).expanduser() if named else None


def _checkpointing(model: Any, config: TrainConfig) -> None:
    """Turns recomputation on, for each tower by itself."""
    training = config.training
    llm = training.gradient_checkpointing
    trained = {tower for tower in Tower if any(p.requires_grad for p in _tower_parameters(model, tower))}
    vit = training.vit_gradient_checkpointing
    vit = (llm and Tower.VIT in trained) if vit is None else vit
    if not llm and not vit:
        return
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    inner = model.get_base_model() if tuners.is_adapter(model) else model
    for tower, wanted in ((inner.model.language_model, llm), (inner.model.visual, vit)):
        if not wanted:
            for module in tower.modules():
                if hasattr(module, "gradient_checkpointing"):
                    module.gradient_checkpointing = False


def _tower_parameters(model: Any, tower: Tower) -> list[torch.nn.Parameter]:
    from trainer.model.towers import tower_of

    return [parameter for name, parameter in model.named_parameters() if tower_of(name) is tower]


def _report(model: Any, attn_impl: str, steps: int) -> None:
    for tower in Tower:
        parameters = _tower_parameters(model, tower)
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        LOG.info("%s: %d of %d parameters are trained", tower, trained, sum(p.numel() for p in parameters))
    LOG.info("attention: %s; %d optimizer steps", attn_impl, steps)


def _provenance(config: TrainConfig, base: str, data: Path) -> Provenance:
    return Provenance(
        base=str(Path(base).resolve()) if Path(base).is_dir() else base,
        config_digest=text_digest(resolved_yaml(config)),
        dataset_digest=file_digest(data),
        git_revision=git_revision(),
        contract=contract_digests(),
    )


def _dump(config: TrainConfig, data: SampleDataset, encoder: Encoder, record: int) -> None:
    """Writes one sample as the model reads it, runs of placeholders as ``<|image_pad|>*N``."""
    from itertools import groupby

    encoded = encoder.encode(data.example(record, 0))
    pieces = []
    for is_image, run in groupby(encoded.input_ids_T.tolist(), key=lambda token: token == encoder.image_token):
        ids = list(run)
        pieces.append(f"<|image_pad|>*{len(ids)}" if is_image else encoder.tokenizer.decode(ids))
    path = Path(config.custom.dump_conversation_path or config.training.run_dir / "conversation_text.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(pieces) + "\n", encoding="utf-8")
    LOG.info("the first conversation is in %s", path)


def _root(config: TrainConfig) -> Path | None:
    return Path(config.custom.root_image_dir).expanduser() if config.custom.root_image_dir else None


def _latest(run_dir: Path) -> Path | None:
    found = sorted(run_dir.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return found[-1] if found else None


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first_rank_first() -> Any:
    from accelerate import PartialState

    return PartialState().main_process_first()
