from datetime import UTC, datetime

from engine.protocol import DecodingParams
from service.judging.judge import judge
from service.judging.records import trajectory_record
from service.judging.rollouts import plan, rollout
from tests.support.trajectory import DOCUMENTED
from vqc.missions import mission_named
from vqc.verdict import Verdict

MISSION = mission_named("挡风板安装检查")
FAIL, PASS = "不通过\n理由: 挡风板缺失", "通过\n理由: BBU设备无需安装挡风板"
NOW = datetime(2025, 11, 3, 8, 55, 12, 483920, tzinfo=UTC)
GRID = [
    DecodingParams(max_new_tokens=512, temperature=0.6, top_p=0.95, seed=41 + 2 * n) for n in range(25)
]  # two samples each: candidate 3 is the second of seed 43


def test_the_reference_documents_record_is_written_to_the_letter():
    """31 of 50 rollouts say 不通过 on lines that show nothing; the label is 通过."""
    texts = [FAIL] * 31 + [PASS] * 19
    entries = plan(GRID, 2)
    drawn = [rollout(entry, i, texts[entry.candidates[i]], NOW) for entry in entries for i in range(2)]
    found = judge(MISSION, ["无关图片"], drawn, label=Verdict.PASS)
    record = trajectory_record("QC-0001", MISSION.name, 1, drawn[3], found[3])
    assert record == DOCUMENTED
    assert list(record["result"]) == list(DOCUMENTED["result"])


def test_a_rollout_that_does_not_parse_has_neither_verdict_nor_scores():
    result = trajectory_record("QC-0001", MISSION.name, 1, rollout(plan(GRID, 2)[0], 0, "建议复核"), None)["result"]
    assert (result["verdict"], result["reason"], result["format_ok"], result["scores"], result["created_at"]) == (
        None,
        None,
        False,
        None,
        None,
    )
