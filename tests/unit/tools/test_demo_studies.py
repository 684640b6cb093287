"""The studies on the demo model are fair, and their tables say what the runs said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.demo_studies import anchoring
from tools.demo_studies.__main__ import ARMS, Results, planned
from tools.demo_studies.data import Data, draw
from tools.demo_studies.spellings import SPELLINGS
from trainer.data import validate
from vqc import codec


@pytest.mark.parametrize("name", [name for name in anchoring.ARMS if "GKD" in name])
def test_the_ways_differ_in_the_teacher_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    plain, taught = anchoring.ARMS["SFT"].loaded(), anchoring.ARMS[name].loaded()
    assert taught.rlhf is not None
    assert (taught.rlhf.lmbda, taught.rlhf.seq_kd) == (0, False)
    assert taught.rlhf.llm_kd_weight == anchoring.ARMS[name].text
    custom = taught.custom.model_copy(update={"visual_kd": None})
    assert taught.model_copy(update={"rlhf": None, "custom": custom}) == plain
    assert (taught.custom.visual_kd is not None) == ("visual" in name)


def test_every_spelling_is_learnt_from_the_same_scenes(tmp_path: Path) -> None:
    data = Data(root=tmp_path)
    draw(data, photos=3, held_out=1, tickets=1, workers=2)
    answers = []
    for name, spelling in SPELLINGS.items():
        path = data.spelled(name)
        assert not validate(path).errors
        chats = [json.loads(line)["messages"] for line in path.read_text("utf-8").splitlines()]
        assert {chat[0]["content"][0]["text"] for chat in chats} == {spelling.prompt.system}
        answers.append([spelling.expanded(chat[2]["content"][0]["text"]) for chat in chats])
    assert answers[0] == answers[1] == answers[2]
    drawn = [json.loads(line) for line in data.photos("colour", "train").read_text("utf-8").splitlines()]
    assert [text.count(codec.KEY_PREFIX) for text in answers[0]] == [len(record["objects"]) for record in drawn]


def test_seeds_come_one_after_the_other_with_every_arm() -> None:
    runs = planned(["codec", "anchoring"], [17, 18])
    assert len(runs) == len(set(runs)) == 2 + 2 * (len(ARMS["codec"]) + len(ARMS["anchoring"]))
    assert [seed for _, _, seed in runs if seed] == sorted(seed for _, _, seed in runs if seed)


def test_results_are_kept_and_the_tables_follow(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for seed, value in ((17, 0.5), (18, 0.7)):
        results.add({"study": "codec", "arm": "JSON", "seed": seed, "seconds": 1.0, "scores": {"boxes": value}})
    assert Results(tmp_path).known == {("codec", "JSON", 17), ("codec", "JSON", 18)}
    assert "| JSON | 2 | 0.600 ± 0.100 |" in (tmp_path / "tables.md").read_text("utf-8")
