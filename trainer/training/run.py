"""Runs a training from its configuration to its last checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import set_seed

from trainer.config import TrainConfig, resolved_yaml
from trainer.data.dataset import SampleDataset
from trainer.model import network, tuners
from trainer.model.collate import Collator
from trainer.model.coordinates import CoordinateTargets
from trainer.model.encode import Encoder
from trainer.model.liger import require_liger, use_liger_kernels
from trainer.model.towers import Tower
from trainer.training import callbacks, checkpoints, distillation, health, inputs
from trainer.training.arguments import autocasts, set_up_ranks, training_arguments, weight_dtype
from trainer.training.errors import OutOfMemory
from trainer.training.logs import get_logger, without_loading_bars
from trainer.training.provenance import (
    Provenance,
    copy_processor,
    file_digest,
    git_revision,
    text_digest,
)
from trainer.training.run_trainer import RunTrainer
from trainer.training.samples import lengths
from trainer.training.sharding import refuse_text_only
from vqc.contract import trained_digests
from vqc.missions import missions

LOG = get_logger("trainer.run")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """The result of a run. ``checkpoint`` is the last saved one (None: none was saved), ``best`` the best evaluated one."""

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
    """Trains a model and saves its checkpoints.

    Raises:
        DataError: records cannot be used; each is named by file, line and rule.
        UnhealthyRun: a check before training failed.
        TrainingError: the run cannot continue; the message says what to do.
    """
    trainer = build_trainer(config, debug=debug)
    training = config.training
    resume = training.resume_from_checkpoint if not training.resume_only_model else None
    try:
        output = trainer.train(resume_from_checkpoint=resume)
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(trainer.state.global_step, str(error).splitlines()[0]) from error
    finally:
        trainer.close()
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


def build_trainer(config: TrainConfig, *, debug: bool = False) -> RunTrainer:
    """Loads and checks everything that a run needs, and returns its trainer; nothing is trained yet."""
    training, run_dir = config.training, config.training.run_dir
    checkpoints.check_named(config)
    if training.use_liger_kernel:
        require_liger()
    attn_impl = network.attention_implementation(config.model.attn_impl, packing=training.packing)
    set_up_ranks(config)  # before anything is shared between ranks
    without_loading_bars()
    set_seed(training.seed)
    base = inputs.base_checkpoint(config)
    paths = inputs.data_files(config)
    provenance = _provenance(config, base, paths[0])
    _check_records(config, provenance)
    data = inputs.datasets(config, paths)
    encoder = Encoder.load(base, max_length=config.max_length, truncate=config.template.truncation_strategy == "right")
    workers = training.dataloader_num_workers
    tokens, photos = lengths(data[0], encoder, workers=workers)
    records = health.usable_records(tokens, config, data[0])
    refuse_text_only(config, photos[records])
    LOG.info(
        "%d of %d training samples, %.0f tokens on average, %d at most",
        len(records), len(tokens), tokens[records].mean(), tokens[records].max(),
    )  # fmt: skip
    model = network.load(base, dtype=weight_dtype(config), attn_impl=attn_impl, pixel_table=encoder.pixels.table_CV)
    if training.use_liger_kernel:
        use_liger_kernels(model)
    if training.coordinate_sigma:
        model.coordinates = CoordinateTargets.of(encoder.tokenizer, training.coordinate_sigma)
    facts = model.facts(encoder.pad_token)
    health.check_samples(data[0], encoder, facts, records)
    if debug or config.custom.dump_conversation_text:
        _dump_conversation(config, data[0], encoder, records[0])
    rlhf = config.rlhf
    collator = Collator(
        facts=facts,
        row=training.packing or attn_impl == "varlen",
        keeps_samples=rlhf is not None and rlhf.generates,
        identifies=rlhf is not None and rlhf.teacher_cache is not None,
    )
    args = training_arguments(config, text_only_samples=bool((photos[records] == 0).any()))
    if args.n_gpu > 1:
        args._n_gpu = 1  # one process per device; torchrun starts the others
    loaders = inputs.loaders(config, data, encoder, collator, args, (tokens, records))
    steps = _steps(config, len(loaders[0]))
    model = tuners.apply_tuner(model, config.tuner, total_steps=steps, masters=autocasts(config))
    _load_earlier_weights(model, config)
    health.check_model(model, config, photos=int(photos[records].sum()))
    _enable_checkpointing(model, config)
    if training.torch_compile:
        network.compile_blocks(model)
    distiller = distillation.build_distiller(config, model, base, encoder, collator, args, attn_impl)
    _log_towers(model, attn_impl, steps)
    source = Path(base)

    def finish(directory: Path) -> None:
        copy_processor(source, directory)
        provenance.write(directory)

    run_callbacks = [
        callbacks.SaveTiming(training),
        callbacks.MetricsFile(run_dir, tensorboard="tensorboard" in training.report_to),
        callbacks.ProgressBar(),
        callbacks.SoundnessCheck(has_teacher=config.rlhf is not None),
        *([callbacks.RankAllocation()] if config.tuner.tuner_type == "adalora" and tuners.is_adapter(model) else []),
    ]
    if args.should_save:
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / "config.yaml").write_text(resolved_yaml(config), encoding="utf-8")
    return RunTrainer(
        model, args, training, loaders=loaders, finish=finish, callbacks=run_callbacks, distiller=distiller,
        settings=checkpoints.settings(config),
    )  # fmt: skip


def _check_records(config: TrainConfig, provenance: Provenance) -> None:
    named = config.training.resume_from_checkpoint if not config.training.resume_only_model else None
    before = Provenance.read(Path(named).expanduser()) if named else None
    checkpoints.check_data(config, named, provenance.dataset_digest, before.dataset_digest if before else None)


def _steps(config: TrainConfig, batches: int) -> int:
    training = config.training
    if training.max_steps:
        return training.max_steps
    per_epoch = -(-batches // training.gradient_accumulation_steps)
    return max(1, -int(-training.num_train_epochs * per_epoch // 1))


def _load_earlier_weights(model: Any, config: TrainConfig) -> None:
    earlier = inputs.weights_from(config)
    if earlier is not None and (earlier / tuners.ADAPTER_FILE).exists():
        if not tuners.is_adapter(model):
            raise tuners.EarlierStageMismatch(
                f"{str(earlier)!r} is an adapter, but this stage trains no adapter; run `vqc-train export` on it and start "
                "from the merged model"
            )
        tuners.load_earlier_stage(model, earlier)
        LOG.info("loaded the weights of the earlier stage %s", earlier)


def _enable_checkpointing(model: Any, config: TrainConfig) -> None:
    """Enables the recomputation of activations, for each tower separately."""
    training = config.training
    llm = training.gradient_checkpointing
    trained = {tower for tower in Tower if any(p.requires_grad for p in _tower_parameters(model, tower))}
    vit = training.vit_gradient_checkpointing
    vit = (llm and Tower.VIT in trained) if vit is None else vit
    if not llm and not vit:
        return
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    # transformers enables it for the whole model: disable it again in the tower that should not recompute.
    inner = model.get_base_model() if tuners.is_adapter(model) else model
    for tower, wanted in ((inner.model.language_model, llm), (inner.model.visual, vit)):
        if not wanted:
            for module in tower.modules():
                if hasattr(module, "gradient_checkpointing"):
                    module.gradient_checkpointing = False


def _tower_parameters(model: Any, tower: Tower) -> list[torch.nn.Parameter]:
    from trainer.model.towers import tower_of

    return [parameter for name, parameter in model.named_parameters() if tower_of(name) is tower]


def _log_towers(model: Any, attn_impl: str, steps: int) -> None:
    for tower in Tower:
        parameters = _tower_parameters(model, tower)
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        LOG.info("%s: %d of %d parameters are trained", tower, trained, sum(p.numel() for p in parameters))
    LOG.info("attention: %s; %d optimizer steps", attn_impl, steps)


def _provenance(config: TrainConfig, base: str, data: Path) -> Provenance:
    return Provenance(
        base=base,
        config_digest=text_digest(resolved_yaml(config)),
        dataset_digest=file_digest(data),
        git_revision=git_revision(),
        contract=trained_digests(config.prompts.missions or missions()),
    )


def _dump_conversation(config: TrainConfig, data: SampleDataset, encoder: Encoder, record: int) -> None:
    """Writes one sample as the model reads it, with runs of placeholders as ``<|image_pad|>*N``."""
    from itertools import groupby

    encoded = encoder.encode(data.example(record, 0))
    pieces = []
    for is_image, run in groupby(encoded.input_ids_T.tolist(), key=lambda token: token == encoder.image_token):
        ids = list(run)
        pieces.append(f"<|image_pad|>*{len(ids)}" if is_image else encoder.tokenizer.decode(ids))
    path = Path(config.custom.dump_conversation_path or config.training.run_dir / "conversation_text.txt")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(pieces) + "\n", encoding="utf-8")
    LOG.info("wrote the first conversation to %s", path)


def _latest(run_dir: Path) -> Path | None:
    found = sorted(run_dir.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    return found[-1] if found else None
