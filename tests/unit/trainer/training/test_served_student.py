"""A student in a vLLM server: what is asked of the server, and what happens where it is away or another one.

The server here is a double that reads requests as strictly as vLLM; the real one is in ``tests/e2e/test_models_real.py``.
"""

from __future__ import annotations

import io
import json
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.support import ranks, tiny
from trainer.config import TrainConfig, config_from
from trainer.model.encode import Encoder
from trainer.training import distillation, student_server
from trainer.training.errors import StudentServerLost
from trainer.training.run import run
from trainer.training.student_server import StudentServer

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning", "ignore:.*:UserWarning:torch.*")


class Server:
    """Answers every request with one token and ``<|im_end|>``. ``applies_towers``: adapters count in the vision towers too."""

    def __init__(self, encoder: Encoder, *, longest: int = 2048, applies_towers: bool = True) -> None:
        self.encoder = encoder
        self.longest = longest
        self.applies_towers = applies_towers
        self.adapters: dict[str, Any] = {}
        self.loaded: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if (reply := self.before(request)) is not None:
            return reply
        body = json.loads(request.content or b"{}")
        match request.url.path:
            case "/v1/models":
                return httpx.Response(200, json={"data": [{"id": "base", "max_model_len": self.longest}]})
            case "/v1/load_lora_adapter":
                weights = load_file(Path(body["lora_path"]) / "adapter_model.safetensors")
                self.adapters[body["lora_name"]] = sum(
                    float(tensor.abs().sum())
                    for name, tensor in weights.items()
                    if self.applies_towers or "visual" not in name
                )
                self.loaded.append(body["lora_name"])
                return httpx.Response(200, text="Success")
            case "/v1/unload_lora_adapter":
                del self.adapters[body["lora_name"]]
                return httpx.Response(200, text="Success")
            case "/inference/v1/generate":
                return self.answer(body)
        return httpx.Response(404, json={"detail": "Not Found"})

    def answer(self, body: dict[str, Any]) -> httpx.Response:
        if body["model"] not in self.adapters:
            return httpx.Response(404, json={"error": {"message": f"The model `{body['model']}` does not exist."}})
        self.asked.append(body)
        encoder = self.encoder
        photos = [
            Image.open(io.BytesIO(b64decode(part["url"].removeprefix("data:image/png;base64,"))))
            for part in body["content_parts"]
        ]
        counts = iter([encoder.pixels.tokens(photo.size) for photo in photos])
        ids: list[int] = []
        for token in body["token_ids"]:
            ids += [token] * next(counts) if token == encoder.image_token else [token]
        assert next(counts, None) is None, "a photo has no place in the prompt"
        answer = [9, encoder.end_token][: body["sampling_params"]["max_tokens"]]
        content = [{"token_id": token, "logprob": -self.adapters[body["model"]]} for token in answer]
        choice = {"index": 0, "finish_reason": "stop", "token_ids": answer, "logprobs": {"content": content}}
        return httpx.Response(200, json={"prompt_token_ids": ids, "choices": [choice]})


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Encoder:
    return Encoder.load(checkpoint)


@pytest.fixture
def server(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Server:
    double = Server(encoder)
    monkeypatch.setattr(
        distillation, "StudentServer", partial(StudentServer, transport=httpx.MockTransport(lambda r: double(r)))
    )
    monkeypatch.setattr(student_server, "_PAUSE_S", 0.01)
    return double


def config(model: Path, jsonl: Path, out: Path, *, rlhf: dict[str, Any] | None = None, **rest: Any) -> TrainConfig:
    tree = tiny.config(model, jsonl, out, **{"learning_rate": 1e-3, **rest}).model_dump(exclude_unset=True)
    tree["rlhf"] = {"rlhf_type": "gkd", "lmbda": 1.0, "max_completion_length": 6, "use_vllm": True, **(rlhf or {})}
    return config_from(tree)


def refreshes(server: Server) -> list[int]:
    return [int(name.rpartition("-")[2]) for name in server.loaded if not name.endswith("probe")]


def test_answers_are_learnt_from_and_the_adapter_is_renewed(
    checkpoint: Path, jsonl: Path, tmp_path: Path, server: Server
):
    run(config(checkpoint, jsonl, tmp_path, max_steps=3, gradient_accumulation_steps=2))
    assert refreshes(server) == [0, 1, 2]
    *_, last = [body for body in server.asked if not body["model"].endswith("probe")]
    assert last["model"] == server.loaded[-1]
    sampling = last["sampling_params"]
    assert (sampling["temperature"], sampling["max_tokens"]) == (1.0, 6)
    assert sampling["stop_token_ids"] == [server.encoder.end_token]
    assert len({body["sampling_params"]["seed"] for body in server.asked[2:]}) == 3 * 2 * 2, "no two draw alike"
    assert tiny.log(tmp_path, "train/sft_loss") == []
    assert server.adapters == {}
    assert not (tmp_path / "served_student").exists()


def test_it_is_renewed_only_in_the_steps_asked_for(checkpoint: Path, jsonl: Path, tmp_path: Path, server: Server):
    run(config(checkpoint, jsonl, tmp_path, max_steps=5, rlhf={"vllm_sync_frequency": 2}))
    assert refreshes(server) == [0, 2, 4]
    assert {body["model"].rpartition("-")[2] for body in server.asked} - {"probe"} == {"0", "2", "4"}


def test_a_server_started_anew_is_given_the_adapter_again(
    checkpoint: Path, jsonl: Path, tmp_path: Path, server: Server
):
    away = iter([httpx.ConnectError("refused"), httpx.Response(503)])

    def restarted(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == "/inference/v1/generate" and len(server.asked) == 4:
            server.adapters.clear()
            server.before = gone
            return gone(request)
        return None

    def gone(request: httpx.Request) -> httpx.Response | None:
        reply = next(away, None)
        if isinstance(reply, Exception):
            raise reply
        return reply

    server.before = restarted
    run(config(checkpoint, jsonl, tmp_path, max_steps=2, rlhf={"vllm_sync_frequency": 4}))
    assert set(refreshes(server)) == {0}
    assert len(refreshes(server)) > 1


def test_a_server_that_is_lost_costs_no_step(checkpoint: Path, jsonl: Path, tmp_path: Path, server: Server):
    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": 100, "max_steps": 4}
    rlhf = {"vllm_server_timeout": 0.05}
    run(config(checkpoint, jsonl, tmp_path / "whole", rlhf=rlhf, **options))

    def lost(request: httpx.Request) -> httpx.Response | None:
        if refreshes(server)[4:] == [0, 1]:
            raise httpx.ConnectError("refused")
        return None

    server.before = lost
    with pytest.raises(StudentServerLost) as caught:
        run(config(checkpoint, jsonl, tmp_path / "broken", rlhf=rlhf, **options))
    said = str(caught.value)
    assert "does not answer (refused)" in said
    assert f"python -m engine.serve {checkpoint} --port 8000" in said
    assert f"training.resume_from_checkpoint: {tmp_path / 'broken/checkpoint-1'}" in said
    server.before = lambda request: None
    again = {**options, "resume_from_checkpoint": str(tmp_path / "broken/checkpoint-1")}
    run(config(checkpoint, jsonl, tmp_path / "again", rlhf=rlhf, **again))
    assert tiny.log(tmp_path / "again") == tiny.log(tmp_path / "whole")[1:]


def closed(request: httpx.Request) -> httpx.Response | None:
    """A server started without VLLM_ALLOW_RUNTIME_LORA_UPDATING."""
    return httpx.Response(404, json={"detail": "Not Found"}) if "lora" in request.url.path else None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda server: setattr(server, "longest", 100), r"accepts 100 tokens.*--max-model-len 1024"),
        (lambda server: setattr(server, "applies_towers", False), r"ignores .* vision encoder or aligner"),
        (lambda server: setattr(server, "before", closed), r"rejects /v1/load_lora_adapter with HTTP 404.*Not Found"),
        (lambda server: setattr(server.encoder.pixels, "tokens", lambda size: 99), "other tokens than the trainer"),
    ],
    ids=["short", "no-towers", "closed", "other"],
)
def test_a_server_that_cannot_answer_as_the_student_is_refused(
    checkpoint: Path, jsonl: Path, tmp_path: Path, server: Server, change: Callable[[Server], None], says: str
):
    server.encoder = Encoder.load(checkpoint)
    change(server)
    with pytest.raises(StudentServerLost, match=f"(?s){says}"):
        run(config(checkpoint, jsonl, tmp_path, max_steps=2))
    assert not (tmp_path / "served_student").exists()


def test_two_ranks_ask_for_their_own_and_lose_the_server_together(
    checkpoint: Path, jsonl: Path, tmp_path: Path, encoder: Encoder
):
    double = Server(encoder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            reply = double(httpx.Request(self.command, f"http://server{self.path}", content=body))
            self.send_response(reply.status_code)
            self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            """Logs nothing."""

    def closing(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(403, text="no more") if 2 in refreshes(double) else None

    double.before = closing
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        rlhf = {"vllm_server_port": http.server_port}
        options = {"save_strategy": "steps", "save_steps": 100, "max_steps": 4, "per_device_train_batch_size": 1}
        try:
            with pytest.raises(AssertionError, match=r"resume_from_checkpoint: .*checkpoint-2"):
                ranks.run_in_two(config(checkpoint, jsonl, tmp_path / "run", rlhf=rlhf, **options), tmp_path)
        finally:
            http.shutdown()
            thread.join()
    assert refreshes(double) == [0, 1, 2], "one rank alone renews it"
    asked = [body["token_ids"] for body in double.asked if body["model"].endswith(("-0", "-1"))]
    assert len(asked) == 2 * 2 + 1, "and each asks for its own; one more to check the towers"
    assert (tmp_path / "run/checkpoint-2/adapter_model.safetensors").exists()


def test_a_photo_survives_the_way_to_the_server(encoder: Encoder):
    for size_wh in ((96, 64), (300, 210), (20, 90)):
        levels, grid = encoder.pixels.levels(tiny.photo(*size_wh))
        again = encoder.pixels.levels(encoder.pixels.picture(levels, grid))
        assert np.array_equal(again[0], levels)
        assert again[1] == grid
