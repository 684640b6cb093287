"""A record of ``trajectories.jsonl`` as the documents show it."""

DOCUMENTED = {
    "group_id": "QC-0001",
    "mission": "挡风板安装检查",
    "epoch": 1,
    "result": {
        "candidate_index": 3,
        "temperature": 0.6,
        "top_p": 0.95,
        "max_new_tokens": 512,
        "seed": 43,
        "text": "不通过\n理由: 挡风板缺失",
        "verdict": "不通过",
        "reason": "挡风板缺失",
        "format_ok": True,
        "created_at": "2025-11-03T08:55:12.483920Z",
        "scores": {
            "label_match": False,
            "focus_consistency": 1.0,
            "heuristic_score": 0.6,
            "summary_confidence": "needs_review",
            "semantic_advantage": 0.822,
            "label_contradiction": True,
            "needs_recheck": True,
            "rationale_quality": 1.0,
        },
    },
}
"""The example of the reference document."""
