"""The settings of the service: environment variables ``VQC_…``. The descriptions are their documentation."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from engine.profile import DRAFTS, Quantization
from service.platform.allowed_hosts import is_loopback
from service.platform.http_settings import HttpSettings
from service.platform.shares import parse_share
from vqc.cores import usable_cores
from vqc.errors import InvalidValue


class Settings(HttpSettings):
    """The settings of one process; only wiring and commands read them."""

    model_config = SettingsConfigDict(env_prefix="VQC_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port that the API listens on; 0 chooses a free one.")
    api_keys_file: Path | None = Field(
        None, description="File of API keys (`vqc keys create`). Without it the API listens on loopback only."
    )
    key_rate_per_minute: int | None = Field(
        None,
        ge=1,
        description="Maximum number of requests of one API key in a minute, over all API processes; above it a request is "
        "rejected with 429. A key may have its own (`vqc keys create --rate-per-minute`). Default: no limit.",
    )
    key_quota_per_day: int | None = Field(
        None,
        ge=1,
        description="Maximum number of requests for work (captions, lines, tickets) of one API key in a day (UTC), likewise "
        "(`--quota-per-day`). Default: no limit.",
    )
    keyless: Literal["loopback", "anywhere"] = Field(
        "loopback",
        description="Where the API may listen without a key file. Use anywhere only if something else restricts "
        "access, such as a container whose port is published on loopback.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Allowed Host headers besides loopback's, separated by commas; *.example.com allows every "
        "name below it, * allows any. Default: any with a key file, only loopback's without.",
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses and networks of the proxies in front of the API, separated by commas, e.g. 10.0.0.0/8; "
        "* trusts any. Only their X-Forwarded-Proto and X-Forwarded-For count: behind TLS they make the console's "
        "cookie Secure and the log name the client.",
    )
    audit_dir: Path | None = Field(
        None,
        description="Directory for the audit log, which API processes may share. Default: a folder of VQC_STATE_DIR.",
    )
    secrets_dir: Path | None = Field(
        None,
        description="Directory with one file per secret setting, named like the variable in lower case, e.g. "
        "vqc_redis_url. A variable takes precedence over its file.",
    )

    engine: Literal["managed", "external", "scripted"] = Field(
        "managed",
        description="managed starts vLLM; external uses VQC_ENGINE_URL; scripted answers without a model, to try "
        "the service out.",
    )
    engine_url: str | None = Field(
        None,
        description="URL of a running vLLM, e.g. http://engine:8000 or unix:///run/engine.sock; sets VQC_ENGINE "
        "to external.",
    )
    engine_profile: Literal["auto", "cpu", "gpu"] = Field(
        "auto",
        description="Hardware profile that determines vLLM's flags; auto selects gpu if there is an NVIDIA device.",
    )
    engine_args: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Additional vLLM flags, separated by spaces; they take precedence over those of the profile."
    )
    engine_quantization: Quantization | None = Field(
        None,
        description="Quantization of the weights while vLLM loads them, which halves the memory of bf16. A "
        "checkpoint that is quantized already (AWQ, GPTQ, compressed-tensors) needs no setting. "
        "Evaluate F1 before you serve with it.",
    )
    engine_drafts: int = Field(
        DRAFTS,
        ge=0,
        le=64,
        description="Maximum number of draft tokens that the engine verifies in one step. Drafts come from "
        "earlier answers; the answers are the same up to rounding. 0 turns drafts off.",
    )
    engine_log: Path = Field(Path("output/engine.log"), description="File for the log of the managed engine.")
    model: str | None = Field(
        None,
        description="What the managed engine serves: a checkpoint directory, or an alias or digest of VQC_REGISTRY.",
    )
    model_alias: str = Field(
        "default", description="Name of the model in responses, unless VQC_MODEL is an alias of the registry."
    )
    registry: str | None = Field(
        None, description="The model registry: a directory (OCI image layout) or oci://host[:port]/repository."
    )
    registry_policy: Path = Field(
        Path("configs/registry_policy.yaml"),
        description="Policy file with the gates of each alias; the console promotes by it.",
    )
    model_cache: Path = Field(
        Path("output/models"), description="Directory in which verified versions of the registry are materialised."
    )
    registry_poll_s: float = Field(
        15.0,
        ge=0,
        description="Interval, in seconds, at which aliases are checked; a moved alias starts a swap. 0: swaps "
        "start by reload only.",
    )
    swap: Literal["auto", "blue_green", "drain"] = Field(
        "auto",
        description="How a swap replaces the engine: blue_green starts the new one beside the old one, drain "
        "stops the old one first, auto selects blue_green if both fit into memory.",
    )
    swap_wait_s: float = Field(
        120.0,
        ge=0,
        description="Maximum time, in seconds, that a request waits for a model during a swap in drain mode.",
    )
    swap_drain_s: float = Field(
        300.0,
        gt=0,
        description="Maximum time, in seconds, for requests and tickets in flight on a replaced model to finish.",
    )
    canary: str | None = Field(
        None,
        description="ALIAS:SHARE, e.g. candidate:0.05: this alias gets this share of the requests, chosen by "
        "request id.",
    )
    shadow: str | None = Field(
        None,
        description="ALIAS or ALIAS:SHARE: this alias gets a copy of this share of the requests; its answers are "
        "only compared.",
    )
    gpu_memory_utilization: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Share of the GPU's memory that an engine uses; blue_green swaps need 0.45 or less.",
    )
    model_digest: str = Field(
        "unknown", description="Digest of an external engine's model in responses; computed for a managed engine."
    )
    max_model_len: int = Field(8192, ge=256, description="Maximum length of prompt and answer together, in tokens.")

    answer_cache_h: float = Field(
        0.0,
        ge=0,
        description="Hours for which the response cache stores answers: identical greedy captions and Stage-A "
        "lines of one model digest are answered from Redis, without the model. 0 turns it off.",
    )
    answer_cache_entries: int = Field(
        20_000,
        ge=1,
        description="Maximum number of answers in the response cache; the oldest are dropped. A caption takes "
        "about 2 KB of Redis.",
    )

    max_photo_bytes: int = Field(20 * 2**20, ge=1024, description="Maximum size of an encoded photo, in bytes.")
    max_photo_pixels: int = Field(50_000_000, ge=1024, description="Maximum size of a photo, in pixels.")
    photo_threads: int = Field(
        min(4, usable_cores()),
        ge=1,
        description="Number of photos that are converted at the same time; each takes up to 20 bytes of memory per pixel.",
    )
    url_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts from which photos may be fetched, separated by commas; *.example.com allows every name "
        "below it.",
    )

    stage_b: Literal["on", "off"] = Field("on", description="off serves captions and Stage-A only and needs no Redis.")
    redis_url: SecretStr | None = Field(
        None,
        description="Redis or Valkey 7 or later for tickets and the response cache, e.g. "
        "redis://:password@redis:6379/0. Without it the service starts a server in VQC_STATE_DIR.",
    )
    redis_unsafe: Literal["refuse", "allow"] = Field(
        "refuse",
        description="What to do with a Redis that can lose accepted tickets: older than 7.0, without an append-only file, with "
        "an eviction policy, or with less than 64 MiB. refuse: the service does not start with it, and is not ready if it "
        "becomes so. allow: a line in the log at the start.",
    )
    state_dir: Path = Field(
        Path("output/state"),
        description="Directory for the embedded Redis, photos and guidance, unless they have a setting of their own.",
    )
    blobs: str | None = Field(
        None, description="Storage of ticket photos: a directory or an fsspec URL such as s3://bucket/prefix."
    )
    inspections: str = Field(
        "",
        description="The active inspections, separated by colons: directories, names of shipped ones, or versions in "
        "VQC_REGISTRY (inspection/NAME for the active one, inspection/NAME@VERSION). Default: those that the served model "
        "brings, else the shipped one. `vqc inspection check` says whether they are valid.",
    )
    guidance_dir: Path | None = Field(
        None, description="Directory for guidance versions and thresholds; API and workers must share it."
    )
    webhook_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Allowed webhook hosts, separated by commas; patterns as in VQC_URL_HOSTS."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="Shared secret that signs webhooks (HMAC-SHA256). Without it webhooks are off."
    )
    stage_b_config: Path | None = Field(
        None,
        description="Configuration of the training-free loop whose sampler, seed and evidence also apply to "
        "submitted tickets, so that its thresholds are valid for them. Default: the values of "
        "configs/stage_b_training_free.yaml.",
    )
    release: Literal["calibrated", "rules", "always"] = Field(
        "calibrated",
        description="What a 通过 needs to be released without a person. calibrated: its evidence, and a calibration of its "
        "mission, model, guidance and sampler that accepts it; rules: its evidence, and the calibration if there is one; "
        "always: only the calibration if there is one.",
    )
    stage_b_attempts: int = Field(
        3, ge=1, description="Number of attempts after which a failing ticket becomes a dead letter."
    )
    stage_b_lease_s: float = Field(
        30.0,
        gt=0,
        description="Seconds without a heartbeat after which a worker's tickets are given to another worker.",
    )
    stage_b_max_queued: int = Field(
        10_000, ge=1, description="Maximum number of queued tickets; above it a ticket is rejected with 429."
    )
    stage_b_keep_days: float = Field(
        30.0, gt=0, description="Days after which decided tickets and their photos are deleted; undecided ones stay."
    )
    worker_concurrency: int | None = Field(
        None,
        ge=1,
        description="Tickets that a worker judges at the same time. Default: 64 with the profile gpu, else 16.",
    )
    worker_host: str = Field("127.0.0.1", description="Address of the worker's /healthz, /readyz and /metrics.")
    worker_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port of the worker's /healthz, /readyz and /metrics. Without it they are not served.",
    )

    console_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="No longer used: the sessions of /console are stored in Redis. Accepted so that old deployments start.",
    )
    console_session_h: float = Field(
        12.0, gt=0, description="Hours without a request of its person after which a console session ends."
    )
    console_groups: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="What the groups of an account allow in /console: GROUP=SCOPE+SCOPE, separated by commas, e.g. "
        "inspectors=stage-b+review+caption,leads=stage-b+review+admin; the group * is everyone who can sign in.",
    )
    oidc_issuer: str | None = Field(
        None,
        pattern="^(https://|http://(localhost|127[.]0[.]0[.]1)[:/])",
        description="Issuer URL of an OpenID Connect provider at which people sign in to /console. Register "
        "https://HOST/console/sign-in/oidc/callback there as redirect URI.",
    )
    oidc_client_id: str | None = Field(None, description="Client id of this service at the provider.")
    oidc_client_secret: SecretStr | None = Field(None, description="Client secret, unless the client is public.")
    oidc_groups_claim: str = Field(
        "groups", description="Claim of the id token, or of userinfo, with a person's groups."
    )
    oidc_scope: str = Field("openid profile email", description="Scopes to ask the provider for.")
    sign_in_header: str | None = Field(
        None,
        description="Header with the name of a person whom a proxy has authenticated, e.g. X-Forwarded-User. It counts only "
        "from VQC_TRUSTED_PROXIES, which must be set and must remove it from the requests of others.",
    )
    sign_in_groups_header: str = Field(
        "X-Forwarded-Groups", description="Header of the same proxy with the person's groups, separated by commas."
    )
    grafana_url: str | None = Field(
        None,
        pattern="^https?://",
        description="URL of the Grafana that /console links to, e.g. https://grafana.example.com.",
    )

    timeout_s: float = Field(120.0, gt=0, description="Deadline of a request, in seconds.")
    caption_max_new_tokens: int = Field(
        2048, ge=1, description="Maximum length of a caption, in tokens, unless the request sets it."
    )
    stage_a_max_new_tokens: int = Field(
        256, ge=1, description="Maximum length of a Stage-A line, in tokens, unless the request sets it."
    )
    drain_delay_s: float = Field(
        0.0,
        ge=0,
        description="Seconds between SIGTERM, when /readyz turns 503, and the end of accepting connections. Work "
        "is admitted meanwhile: load balancers notice the change late.",
    )
    drain_timeout_s: float = Field(
        60.0,
        gt=0,
        description="On SIGTERM, maximum time, in seconds, for requests in flight to finish after connections are no longer "
        "accepted.",
    )
    traces: str | None = Field(
        None,
        description="Target of OpenTelemetry spans: a collector's base URL (OTLP over HTTP), e.g. "
        "http://collector:4318, or a file that gets one JSON object per line. Without it traces are "
        "off. A managed engine sends its spans to the same collector.",
    )
    traces_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of traces that are sampled; a trace that a caller began is sampled as the caller decided.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info",
        description="Minimum severity of log lines. `debug` adds the settings, each request to the engine with its parameters, "
        "and each command to Redis with its key; never contents or secrets.",
    )

    @property
    def guidance_root(self) -> Path:
        """The directory of guidance and its thresholds: ``guidance_dir``, or a folder of ``state_dir``."""
        return self.guidance_dir or self.state_dir / "guidance"

    @property
    def audit_root(self) -> Path:
        """The directory of the audit log: ``audit_dir``, or a folder of ``state_dir``."""
        return self.audit_dir or self.state_dir / "audit"

    @field_validator("trusted_proxies", mode="after")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in () if value == ("*",) else value:
            ip_network(one)
        return value

    @field_validator("allowed_hosts", "trusted_proxies", "console_groups", "url_hosts", "webhook_hosts", mode="before")
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
            raise ValueError("the engine external requires engine_url (VQC_ENGINE_URL)")
        shares = [parse_share(f"VQC_{n.upper()}", s) for n in ("canary", "shadow") if (s := getattr(self, n))]
        aliases = [share.alias for share in shares]
        if aliases and (self.registry is None or self.engine == "external"):
            raise ValueError("canary and shadow require VQC_REGISTRY and an engine that is managed or scripted")
        if len({*aliases, self.model}) <= len(aliases):
            raise ValueError(f"model, canary and shadow must be different aliases; found {self.model!r} and {aliases}")
        if self.answer_cache_h and self.engine == "external" and self.model_digest == "unknown":
            raise ValueError(
                "answer_cache_h with an external engine requires model_digest (VQC_MODEL_DIGEST), part of the cache key"
            )
        if (self.oidc_issuer or self.sign_in_header) and self.api_keys_file is None:
            raise ValueError(
                "sign-in with accounts requires api_keys_file (VQC_API_KEYS_FILE); it may be an empty list"
            )
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("oidc_issuer requires oidc_client_id (VQC_OIDC_CLIENT_ID)")
        if self.sign_in_header and ("trusted_proxies" not in self.model_fields_set or "*" in self.trusted_proxies):
            raise ValueError("sign_in_header requires trusted_proxies (VQC_TRUSTED_PROXIES) that name the proxy")
        if self.api_keys_file is None and self.keyless == "loopback" and not is_loopback(self.host):
            raise ValueError(
                f"listening on {self.host!r} requires api_keys_file (VQC_API_KEYS_FILE); create one with `vqc keys create`"
            )
        return self


def read_settings(**overrides: object) -> Settings:
    """The settings from the environment; ``overrides`` that are not None take precedence.

    Raises:
        InvalidValue: names the variable, its value and what is valid; also for an unknown ``VQC_…`` variable.
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
