import json
from pathlib import Path

import httpx
import pytest

from service.tickets.schemas import TicketIn
from trainer.evaluation.answers import LabelledPhoto, LabelledTicket
from trainer.evaluation.evaluate import evaluate_model, load_labelled, score_answers
from trainer.evaluation.page import write_report
from trainer.evaluation.remote import ServiceClient, ServiceRefused
from vqc import codec, parser, summary, verdict
from vqc.missions import missions
from vqc.verdict import Verdict, VerdictAnswer


class Oracle:
    """Answers what is labelled, except for the first photo."""

    name = "oracle"

    def captions(self, photos):
        for number, photo in enumerate(photos):
            yield parser.parse("nonsense" if number == 0 else codec.render(photo.caption))

    def lines(self, photos):
        for photo in photos:
            yield summary.parse(summary.render(photo.summary))

    def verdicts(self, tickets):
        for ticket in tickets:
            yield verdict.parse(f"{ticket.verdict}\n理由: 因为")


def test_the_report_has_the_headline_keys_and_the_worst_photos(jsonl: Path, tmp_path: Path):
    photos, _ = load_labelled(jsonl)
    mission = next(iter(missions().values()))
    tickets = [LabelledTicket(photos=(), summaries=("x×1",), mission=mission, verdict=Verdict.FAIL)]
    result = score_answers(Oracle(), photos, tickets, progress=False)
    report = result.as_dict()
    assert report["num_images"] == 16
    assert report["malformed"] == 1 / 16
    assert report["stage_a_recall"] == 1
    assert report["verdict_accuracy"] == 1
    assert 0.9 < report["f1_50_box"] < 1
    assert report["f1_50_line"] is None
    page = write_report(result, tmp_path / "report")
    assert json.loads((tmp_path / "report/report.json").read_text("utf-8")) == report
    text = page.read_text("utf-8")
    assert text.count("<section>") == 1
    assert "no JSON object in the answer" in text
    assert "f1_50_box" in result.table()


def service(handler) -> ServiceClient:
    return ServiceClient("http://service", transport=httpx.MockTransport(handler), concurrency=2)


def test_the_service_is_asked_as_anyone_would_ask_it(jsonl: Path):
    photos, _ = load_labelled(jsonl, 3)
    by_bytes = {photo.path.read_bytes(): photo for photo in photos}

    def photo_of(request: httpx.Request) -> LabelledPhoto:
        return next(photo for data, photo in by_bytes.items() if data in request.content)

    def answer(request: httpx.Request) -> httpx.Response:
        photo = photo_of(request)
        if request.url.path == "/caption":
            assert b'name="photo"' in request.content
            caption = codec.objects_by_key(photo.caption.objects) if photo.caption else {}
            return httpx.Response(200, json={"caption": caption, "status": "parsed", "truncated": False})
        assert request.url.path == "/stage-a"
        assert b'name="photos"' in request.content
        assert photo.mission.name.encode() in request.content
        return httpx.Response(200, json={"photos": [{"summary": summary.render(photo.summary)}]})

    report = score_answers(service(answer), photos, progress=False).as_dict()
    assert (report["f1_50_box"], report["stage_a_recall"], report["malformed"]) == (1, 1, 0)


def test_a_busy_service_is_asked_again_and_a_broken_one_is_reported(jsonl: Path):
    photos, _ = load_labelled(jsonl, 1)
    calls = []

    def busy(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        if len(calls) < 3:
            return httpx.Response(429, headers={"Retry-After": "0"})
        return httpx.Response(200, json={"caption": {}, "status": "parsed"})

    assert len(list(service(busy).captions(photos))) == 1
    assert len(calls) == 3
    broken = service(lambda request: httpx.Response(503, text="no engine"))
    with pytest.raises(ServiceRefused, match="http://service/caption: 503: no engine"):
        list(broken.captions(photos))


@pytest.mark.parametrize("evidence", ["summaries", "images", "both"])
def test_a_ticket_is_judged_from_what_it_holds_and_the_machines_verdict_counts(jsonl: Path, evidence: str):
    photos, _ = load_labelled(jsonl, 2)
    ticket = LabelledTicket(
        photos=() if evidence == "summaries" else tuple(photo.path for photo in photos),
        summaries=() if evidence == "images" else ("标签×1", "无关图片"),
        mission=next(iter(missions().values())),
        verdict=Verdict.FAIL,
    )
    states = iter(["queued", "running", "needs_review"])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            group = TicketIn.model_validate_json(request.content)
            assert (group.evidence, len(group.photos)) == (evidence, 2)
            assert [photo.summary for photo in group.photos] == [*(ticket.summaries or (None, None))]
            assert all((photo.base64 is None) == (evidence == "summaries") for photo in group.photos)
            return httpx.Response(202, headers={"Location": "/stage-b/groups/1"})
        state = next(states)
        verdict = "不通过" if state == "needs_review" else None
        return httpx.Response(200, json={"state": state, "verdict": None, "machine_verdict": verdict, "reason": "缺失"})

    (outcome,) = service(answer).verdicts([ticket])
    assert outcome.answer == VerdictAnswer(verdict=Verdict.FAIL, reason="缺失")


def test_batches_answer_as_single_photos_do(checkpoint: Path, jsonl: Path):
    from trainer.evaluation.local import LocalModel

    photos, _ = load_labelled(jsonl, 3)
    alone = LocalModel(checkpoint, batch_size=1, max_new_tokens=6)
    together = LocalModel(checkpoint, batch_size=3, max_new_tokens=6)
    mission = next(iter(missions().values()))
    asked = [*((photo.path,) for photo in photos), (), (photos[0].path, photos[1].path)]
    from vqc.prompts import stage_b_prompt

    pairs = [(stage_b_prompt(mission, ["光纤×1"] * n), paths) for n, paths in enumerate(asked)]
    assert list(together._texts(pairs, 6)) == list(alone._texts(pairs, 6))


def test_a_directory_is_scored(checkpoint: Path, jsonl: Path):
    report = evaluate_model(checkpoint, data=jsonl, limit=2, max_new_tokens=3).as_dict()
    assert report["num_images"] == 2
    assert report["malformed"] == 1
