"""The HTTP client of a vLLM server that answers as the student: its base model with the adapter loaded last.

Prompts and answers are token ids (vLLM's ``/inference/v1/generate``), so that the server's tokenizer is not used. The
response contains the prompt as the server expanded it for the photos; it must equal the trainer's.

Axes: T tokens.
"""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from engine.debug_log import without_secrets
from trainer.training.errors import StudentServerLost
from trainer.training.logs import get_logger

LOG = get_logger("trainer.run")

AT_ONCE = 64
"""Largest number of concurrent requests."""

_GENERATE = "/inference/v1/generate"
_PAUSE_S = 0.5
_UNAVAILABLE = (502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAdapter:
    """An adapter: the name under which it is served, and the directory from which the server loads it."""

    name: str
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentRequest:
    """A prompt with expanded placeholders, as the trainer reads it, and its photos as PNG files.

    ``max_tokens`` limits the answer. ``temperature`` 0 is greedy; otherwise ``seed`` determines the sample.
    """

    prompt_T: np.ndarray
    photos: tuple[bytes, ...]
    max_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentAnswer:
    """Token ids, with ``<|im_end|>`` unless the answer was cut, and the log-probability of each (temperature 1)."""

    ids: list[int]
    log_p: list[float]


class StudentServer:
    """The server at a URL. ``image_token`` and ``end_token`` are the tokenizer's ids; ``start`` is the command to start it."""

    def __init__(
        self,
        url: str,
        *,
        image_token: int,
        end_token: int,
        timeout_s: float,
        start: str,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self.start = start
        self._image_token = image_token
        self._end_token = end_token
        self._timeout_s = timeout_s
        self._client = httpx.Client(base_url=url, timeout=timeout_s, transport=transport)

    def longest(self) -> int:
        """The server's limit on prompt and answer together, tokens.

        Raises:
            StudentServerLost: the server does not answer.
        """
        return int(self._request("GET", "/v1/models").json()["data"][0]["max_model_len"])

    def load(self, adapter: ServedAdapter) -> None:
        """Loads an adapter.

        Raises:
            StudentServerLost: the server does not answer, or cannot serve the adapter.
        """
        body = {"lora_name": adapter.name, "lora_path": str(adapter.directory.absolute()), "load_inplace": True}
        self._request("POST", "/v1/load_lora_adapter", body)

    def unload(self, adapter: ServedAdapter) -> None:
        """Unloads an adapter, if it is loaded.

        Raises:
            StudentServerLost: the server does not answer.
        """
        self._request("POST", "/v1/unload_lora_adapter", {"lora_name": adapter.name}, accepts=(404,))

    def answers(self, adapter: ServedAdapter, requests: Sequence[StudentRequest]) -> list[StudentAnswer]:
        """The model's answers under a loaded adapter. Loads it again if the server was restarted in the meantime.

        Raises:
            StudentServerLost: the server does not answer, or expands prompts in another way than the trainer.
        """
        with ThreadPoolExecutor(min(AT_ONCE, len(requests) or 1)) as pool:
            return list(pool.map(lambda request: self._answer(adapter, request), requests))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _answer(self, adapter: ServedAdapter, request: StudentRequest) -> StudentAnswer:
        body = _body(request, adapter.name, image_token=self._image_token, end_token=self._end_token)
        response = self._request("POST", _GENERATE, body, accepts=(404,))
        if response.status_code == 404:  # a restarted server does not know the adapter
            self.load(adapter)
            response = self._request("POST", _GENERATE, body)
        content = response.json()
        prompt_ids = content["prompt_token_ids"]
        if prompt_ids != request.prompt_T.tolist():
            raise self._lost_error(
                f"reads a prompt as {len(prompt_ids)} other tokens than the trainer ({len(request.prompt_T)}): it serves "
                "another checkpoint"
            )
        (choice,) = content["choices"]
        if choice["finish_reason"] not in ("stop", "length"):
            raise self._lost_error(f"aborted an answer ({choice['finish_reason']})")
        tokens = choice["logprobs"]["content"]
        return StudentAnswer(ids=choice["token_ids"], log_p=[token["logprob"] for token in tokens])

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, accepts: tuple[int, ...] = ()
    ) -> httpx.Response:
        """The response, if it is a success or its status is in ``accepts``. Retries an unavailable server until the timeout.

        Raises:
            StudentServerLost: the server stays unavailable, or rejects the request.
        """
        until = time.monotonic() + self._timeout_s
        LOG.debug("asks %s: %s %s %s", *without_secrets([self.url]), method, path, _summary(body or {}))
        while True:
            try:
                response = self._client.request(method, path, json=body)
                reason = f"answers HTTP {response.status_code}"
                dying = response.status_code == 500 and path == _GENERATE  # vLLM's answer while its engine goes down
                if response.status_code not in _UNAVAILABLE and not dying:
                    break
            except httpx.TimeoutException:
                raise self._lost_error(f"did not answer {path} within {self._timeout_s:g} s") from None
            except httpx.TransportError as error:
                reason = f"does not answer ({error})"
            if time.monotonic() > until:
                raise self._lost_error(f"{reason} for {self._timeout_s:g} s")
            time.sleep(_PAUSE_S)
        if response.is_error and response.status_code not in accepts:
            raise self._lost_error(f"rejects {path} with HTTP {response.status_code}: {_error_message(response)}")
        return response

    def _lost_error(self, what: str) -> StudentServerLost:
        return StudentServerLost(self.url, what, self.start)


def _summary(body: dict[str, Any]) -> str:
    """A request's settings; prompts and photos as their numbers."""
    counts = {key: f"{len(value)} items" if isinstance(value, list) else value for key, value in body.items()}
    return json.dumps(counts, sort_keys=True)


def start_command(base: str, *, port: int, rank: int) -> str:
    """The command that starts a server for a student over ``base`` with LoRA matrices of this rank."""
    max_rank = next(allowed for allowed in (8, 16, 32, 64, 128, 256, 320, 512) if rank <= allowed)
    return (
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 python -m engine.serve {base} --port {port} --api-server-count 1 "
        f"--enable-scale-out --enable-lora --enable-tower-connector-lora --max-lora-rank {max_rank}"
    )


def _body(request: StudentRequest, name: str, *, image_token: int, end_token: int) -> dict[str, Any]:
    """The request's JSON. It sets every sampling parameter, so that no default of server or checkpoint applies."""
    ids_T = request.prompt_T
    repeated_T = (ids_T == image_token) & (np.roll(ids_T, 1) == image_token)  # the server expands placeholders itself
    return {
        "model": name,
        "token_ids": ids_T[~repeated_T].tolist(),
        "content_parts": [
            {"type": "image_url", "url": f"data:image/png;base64,{b64encode(photo).decode()}"}
            for photo in request.photos
        ],
        "return_token_ids": True,
        "sampling_params": {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": request.seed,
            "ignore_eos": True,
            "stop_token_ids": [end_token],
            "detokenize": False,
            "logprobs": 0,
        },
    }


def _error_message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return response.text[:300]
