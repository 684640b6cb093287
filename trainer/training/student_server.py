"""A vLLM server that answers as the student: its base model, with the adapter that it was given last.

Owns HTTP. Prompts go as token ids and answers come back as token ids (vLLM's ``/inference/v1/generate``), so that no
tokenizer of the server's has a say; the prompt that the server made of its photos comes back too and must be the trainer's.

Axes: T tokens.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from trainer.training.errors import StudentServerLost

AT_ONCE = 64
"""Most questions under way at a time."""

_GENERATE = "/inference/v1/generate"
_PAUSE_S = 0.5
_AWAY = (502, 503, 504)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedAdapter:
    """An adapter by the name that it is served under, and where the server finds it."""

    name: str
    directory: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentRequest:
    """A prompt as the trainer reads it, placeholders expanded, and its photos as PNG files.

    ``most_tokens`` bounds the answer. ``temperature`` 0 is greedy; else ``seed`` decides what is drawn.
    """

    prompt_T: np.ndarray
    photos: tuple[bytes, ...]
    most_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentAnswer:
    """Token ids, with ``<|im_end|>`` where the answer ended by itself, and the log-probability of each (temperature 1)."""

    ids: list[int]
    log_p: list[float]


class StudentServer:
    """The server at a URL. ``image_token`` and ``end_token`` are the tokenizer's ids; ``start`` is the command to start one."""

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
        """Tokens of the longest prompt and answer that the server takes.

        Raises:
            StudentServerLost: it does not answer.
        """
        return int(self._request("GET", "/v1/models").json()["data"][0]["max_model_len"])

    def load(self, adapter: ServedAdapter) -> None:
        """Has the server read an adapter.

        Raises:
            StudentServerLost: it does not answer, or cannot serve the adapter.
        """
        told = {"lora_name": adapter.name, "lora_path": str(adapter.directory.absolute()), "load_inplace": True}
        self._request("POST", "/v1/load_lora_adapter", told)

    def unload(self, adapter: ServedAdapter) -> None:
        """Has the server forget an adapter, if it knows it.

        Raises:
            StudentServerLost: it does not answer.
        """
        self._request("POST", "/v1/unload_lora_adapter", {"lora_name": adapter.name}, takes=(404,))

    def answers(self, adapter: ServedAdapter, questions: Sequence[StudentRequest]) -> list[StudentAnswer]:
        """What the model says under an adapter that was loaded. A server that was started anew since is given it again.

        Raises:
            StudentServerLost: the server does not answer, or reads other prompts than the trainer.
        """
        with ThreadPoolExecutor(min(AT_ONCE, len(questions) or 1)) as pool:
            return list(pool.map(lambda question: self._answer(adapter, question), questions))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _answer(self, adapter: ServedAdapter, question: StudentRequest) -> StudentAnswer:
        body = _body(question, adapter.name, image_token=self._image_token, end_token=self._end_token)
        response = self._request("POST", _GENERATE, body, takes=(404,))
        if response.status_code == 404:
            self.load(adapter)
            response = self._request("POST", _GENERATE, body)
        said = response.json()
        if said["prompt_token_ids"] != question.prompt_T.tolist():
            raise self._lost_error(
                f"reads a prompt as {len(said['prompt_token_ids'])} other tokens than the trainer ({len(question.prompt_T)}): "
                "it serves another checkpoint"
            )
        (choice,) = said["choices"]
        if choice["finish_reason"] not in ("stop", "length"):
            raise self._lost_error(f"broke an answer off ({choice['finish_reason']})")
        content = choice["logprobs"]["content"]
        return StudentAnswer(ids=choice["token_ids"], log_p=[token["logprob"] for token in content])

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, takes: tuple[int, ...] = ()
    ) -> httpx.Response:
        """The response; a server that is away is asked again until the time is up."""
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                response = self._client.request(method, path, json=body)
                reason = f"answers HTTP {response.status_code}"
                dying = response.status_code == 500 and path == _GENERATE
                if response.status_code not in _AWAY and not dying:
                    break
            except httpx.TimeoutException:
                raise self._lost_error(f"did not answer {path} within {self._timeout_s:g} s") from None
            except httpx.TransportError as error:
                reason = f"does not answer ({error})"
            if time.monotonic() > until:
                raise self._lost_error(f"{reason} for {self._timeout_s:g} s")
            time.sleep(_PAUSE_S)
        if response.is_error and response.status_code not in takes:
            raise self._lost_error(f"refuses {path} with HTTP {response.status_code}: {_error_message(response)}")
        return response

    def _lost_error(self, what: str) -> StudentServerLost:
        return StudentServerLost(self.url, what, self.start)


def start_command(base: str, *, port: int, rank: int) -> str:
    """How a server for a student over ``base`` with LoRA matrices of this rank is started."""
    most = next(most for most in (8, 16, 32, 64, 128, 256, 320, 512) if rank <= most)
    return (
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 python -m engine.serve {base} --port {port} --api-server-count 1 "
        f"--enable-scale-out --enable-lora --enable-tower-connector-lora --max-lora-rank {most}"
    )


def _body(question: StudentRequest, name: str, *, image_token: int, end_token: int) -> dict[str, Any]:
    """Sampling is spelled out in full, so that no default of the server's or the checkpoint's joins in."""
    ids_T = question.prompt_T
    repeated_T = (ids_T == image_token) & (np.roll(ids_T, 1) == image_token)  # the server expands placeholders itself
    return {
        "model": name,
        "token_ids": ids_T[~repeated_T].tolist(),
        "content_parts": [
            {"type": "image_url", "url": f"data:image/png;base64,{b64encode(photo).decode()}"}
            for photo in question.photos
        ],
        "return_token_ids": True,
        "sampling_params": {
            "max_tokens": question.most_tokens,
            "temperature": question.temperature,
            "top_p": 1.0,
            "top_k": 0,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "seed": question.seed,
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
