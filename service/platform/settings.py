"""Every setting of the service: environment variables ``VQC_…``, the text under each is its documentation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from engine.profile import DRAFTS, Quantization
from service.platform.allowed_hosts import is_loopback
from service.platform.shares import parse_share
from vqc.cores import usable_cores
from vqc.errors import InvalidValue


class Settings(BaseSettings):
    """The settings in force; read by the bootstrap and the commands only."""

    model_config = SettingsConfigDict(env_prefix="VQC_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port the API listens on; 0 takes a free one.")
    api_keys_file: Path | None = Field(
        None, description="File of API keys (`vqc keys create`). Without one the API listens on loopback only."
    )
    keyless: Literal["loopback", "anywhere"] = Field(
        "loopback",
        description="Where the API may listen without a key file; anywhere only where something else keeps strangers out, "
        "such as a container whose port is published on loopback.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Names under which the service is called (the Host header), separated by commas, beside loopback's; "
        "*.example.com allows all below, * any. Without it: any with a key file, loopback's alone without.",
    )
    secrets_dir: Path | None = Field(
        None,
        description="Directory with a file per secret setting, named as its variable in lower case: vqc_redis_url. A "
        "variable wins over its file.",
    )

    engine: Literal["managed", "external", "scripted"] = Field(
        "managed",
        description="managed starts vLLM; external uses VQC_ENGINE_URL; scripted answers without a model, for trying out.",
    )
    engine_url: str | None = Field(
        None,
        description="A running vLLM, e.g. http://engine:8000 or unix:///run/engine.sock; makes engine external.",
    )
    engine_profile: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="Hardware profile that chooses vLLM's flags; auto looks for an NVIDIA device."
    )
    engine_args: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Further vLLM flags, separated by spaces; they win over the profile's."
    )
    engine_quantization: Quantization | None = Field(
        None,
        description="Weights that vLLM quantises while loading: half the memory of bf16. A checkpoint that was quantised "
        "before (AWQ, GPTQ, compressed-tensors) needs no setting. Check its F1 before it serves.",
    )
    engine_drafts: int = Field(
        DRAFTS,
        ge=0,
        le=64,
        description="Most tokens of an answer that the engine guesses at once, from what it has answered so far, and then "
        "checks; the answers are the same up to rounding. 0 is off.",
    )
    engine_log: Path = Field(Path("output/engine.log"), description="Where the managed engine's own log goes.")
    model: str | None = Field(
        None,
        description="What the managed engine serves: a checkpoint directory, or an alias or digest of VQC_REGISTRY.",
    )
    model_alias: str = Field(
        "default", description="Name under which the checkpoint is served and answers name it; an alias has its own."
    )
    registry: str | None = Field(
        None, description="Where model versions are: a directory (OCI image layout) or oci://host[:port]/repository."
    )
    registry_policy: Path = Field(
        Path("configs/registry_policy.yaml"), description="What each alias demands before the console promotes to it."
    )
    model_cache: Path = Field(Path("output/models"), description="Where versions are materialised, verified.")
    registry_poll_s: float = Field(
        15.0,
        ge=0,
        description="How often to look whether an alias has moved, which swaps the model; 0: only on reload.",
    )
    swap: Literal["auto", "blue_green", "drain"] = Field(
        "auto",
        description="How a model is replaced: beside the old one (blue_green), or after it has stopped (drain); auto "
        "looks whether there is room for two.",
    )
    swap_wait_s: float = Field(
        120.0,
        ge=0,
        description="Most time that a request waits for a model while one is replaced without room for two.",
    )
    swap_drain_s: float = Field(
        300.0, gt=0, description="Most time for requests and tickets on a replaced model to finish."
    )
    canary: str | None = Field(
        None, description="ALIAS:SHARE that answers this share of the requests, e.g. candidate:0.05, by request id."
    )
    shadow: str | None = Field(
        None, description="ALIAS or ALIAS:SHARE that is asked too and compared; nobody sees its answers."
    )
    gpu_memory_utilization: float = Field(
        0.9, gt=0, le=1, description="Part of the GPU's memory per engine; two engines at once need 0.45 or less."
    )
    model_digest: str = Field(
        "unknown", description="Digest that answers name for an external engine; computed for a managed one."
    )
    max_model_len: int = Field(8192, ge=256, description="Longest prompt plus answer, in tokens.")

    answer_cache_h: float = Field(
        0.0,
        ge=0,
        description="Hours for which an answer is given again to the same question about the same photo, without asking the "
        "model: greedy captions and Stage-A lines, per model digest, kept in Redis. 0: off.",
    )
    answer_cache_entries: int = Field(
        20_000, ge=1, description="Most answers kept so, the newest; a caption takes about 2 KB of Redis."
    )

    max_in_flight: int = Field(256, ge=1, description="Most requests worked on at once; more get 429.")
    max_body_bytes: int = Field(64 * 2**20, ge=1024, description="Largest request body, in bytes.")
    max_photo_bytes: int = Field(20 * 2**20, ge=1024, description="Largest encoded photo, in bytes.")
    max_photo_pixels: int = Field(50_000_000, ge=1024, description="Largest photo, in pixels.")
    photo_threads: int = Field(
        min(4, usable_cores()), ge=1, description="Photos read at once; each converted one holds 10 bytes a pixel."
    )
    url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts that photos may be fetched from, separated by commas; *.example.com allows all below."
    )

    stage_b: Literal["on", "off"] = Field("on", description="off serves captions and Stage-A alone and needs no Redis.")
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey 7+ for submitted tickets, e.g. redis://:password@redis:6379/0; without one a server of "
        "our own is started in VQC_STATE_DIR.",
    )
    state_dir: Path = Field(
        Path("output/state"), description="Where our own Redis, photos and guidance are kept unless told otherwise."
    )
    blobs: str | None = Field(
        None, description="Where photos of tickets are kept: a directory or an fsspec URL such as s3://bucket/prefix."
    )
    guidance_dir: Path | None = Field(
        None, description="Where guidance versions and thresholds are kept; API and workers must see the same."
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts that may be told of finished tickets, separated by commas, as VQC_URL_HOSTS."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Shared secret that webhooks are signed with (HMAC-SHA256); without one they are off."
    )
    stage_b_config: Path | None = Field(
        None,
        description="A configuration of the training-free loop whose sampler, seed and evidence hold for submitted tickets "
        "too, so that its thresholds apply; without one, those of configs/stage_b_training_free.yaml.",
    )
    stage_b_attempts: int = Field(3, ge=1, description="Attempts at a ticket before it is a dead letter.")
    stage_b_lease_s: float = Field(
        30.0, gt=0, description="After so long without a sign of life a worker's tickets go to another."
    )
    stage_b_max_queued: int = Field(10_000, ge=1, description="Most tickets that may wait; more get 429.")
    stage_b_keep_days: float = Field(
        30.0, gt=0, description="Days after which finished tickets and their photos are removed."
    )
    worker_concurrency: int | None = Field(
        None,
        ge=1,
        description="Tickets that one worker judges at once; without one 64 where VQC_ENGINE_PROFILE is gpu, given or found, "
        "else 16.",
    )
    worker_host: str = Field("127.0.0.1", description="Address the worker's /healthz, /readyz and /metrics listen on.")
    worker_port: int | None = Field(
        None, ge=0, le=65535, description="Port of the worker's /healthz, /readyz and /metrics; not served without one."
    )

    console_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="Secret that sessions of /console are signed with; API processes beside each other need the same. "
        "Without one, a restart ends them.",
    )
    console_session_h: float = Field(12.0, gt=0, description="Hours without a visit after which a session ends.")
    grafana_url: str | None = Field(
        None, pattern="^https?://", description="Grafana that /console links to, e.g. https://grafana.example.com."
    )

    timeout_s: float = Field(120.0, gt=0, description="Deadline of a request, in seconds.")
    caption_max_new_tokens: int = Field(2048, ge=1, description="Most tokens of a caption, unless the request says.")
    stage_a_max_new_tokens: int = Field(
        256, ge=1, description="Most tokens of a Stage-A line, unless the request says."
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        description="On SIGTERM, time between /readyz turning 503 and the listening socket closing; work is taken "
        "meanwhile, since whoever sends it notices late.",
    )
    drain_timeout_s: float = Field(60.0, gt=0, description="On SIGTERM, most time for requests in flight to finish.")
    traces: str | None = Field(
        None,
        description="Where OpenTelemetry spans go: a collector's base URL (OTLP over HTTP), e.g. http://collector:4318, or a "
        "file that gets a JSON object a line. Off without one. A managed engine sends its own to the same collector.",
    )
    traces_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Part of the traces that begin here that is kept; callers' traces keep their choice.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line written."
    )

    @property
    def guidance_root(self) -> Path:
        """Where guidance and its thresholds are kept: ``guidance_dir``, or a folder of the state."""
        return self.guidance_dir or self.state_dir / "guidance"

    @field_validator("allowed_hosts", "url_hosts", "webhook_hosts", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("engine_args", mode="before")
    @classmethod
    def _split_spaces(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _url_means_external(cls, values: dict[str, object]) -> dict[str, object]:
        return {"engine": "external", **values} if values.get("engine_url") else values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.engine == "external" and self.engine_url is None:
            raise ValueError("engine external needs engine_url (VQC_ENGINE_URL)")
        shares = [parse_share(f"VQC_{n.upper()}", s) for n in ("canary", "shadow") if (s := getattr(self, n))]
        aliases = [share.alias for share in shares]
        if aliases and (self.registry is None or self.engine == "external"):
            raise ValueError("canary and shadow need VQC_REGISTRY and engines of our own (managed or scripted)")
        if len({*aliases, self.model}) <= len(aliases):
            raise ValueError(f"model, canary and shadow must be different aliases; found {self.model!r} and {aliases}")
        if self.answer_cache_h and self.engine == "external" and self.model_digest == "unknown":
            raise ValueError(
                "answer_cache_h with an external engine needs model_digest (VQC_MODEL_DIGEST): answers are kept by it"
            )
        if self.api_keys_file is None and self.keyless == "loopback" and not is_loopback(self.host):
            raise ValueError(f"listening on {self.host!r} needs api_keys_file (VQC_API_KEYS_FILE): `vqc keys create`")
        return self


def read_settings(**overrides: object) -> Settings:
    """The settings from the environment, ``overrides`` (that are not None) on top.

    Raises:
        InvalidValue: names the variable, its value and what is valid; an unknown ``VQC_…`` variable counts.
    """
    known = {f"VQC_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith("VQC_") and not name.startswith("VQC_CLIENT_") and name not in known:
            raise InvalidValue(name, os.environ[name], f"unknown setting; nearest: {_nearest(name, known)}")
    secrets_dir = os.environ.get("VQC_SECRETS_DIR")
    if secrets_dir and not Path(secrets_dir).is_dir():
        raise InvalidValue("VQC_SECRETS_DIR", secrets_dir, "must be a directory")
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(_secrets_dir=secrets_dir or None, **given)  # type: ignore[arg-type]
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = "VQC_" + "_".join(map(str, detail["loc"])).upper() if detail["loc"] else "settings"
        value = detail.get("input") if detail["loc"] else "as given"
        raise InvalidValue(field, value, detail["msg"].removeprefix("Value error, ")) from error


def _nearest(name: str, known: frozenset[str] | set[str]) -> str:
    from difflib import get_close_matches

    return ", ".join(get_close_matches(name, known, n=1, cutoff=0)) or "none"
