from service.cli.groups import print_ticket

TICKET = {
    "id": "06618c23",
    "mission": "挡风板安装检查",
    "state": "needs_review",
    "verdict": None,
    "photos": [],
    "reason": None,
    "review_reasons": ["evidence_missing", "not_calibrated"],
    "missing": ["BBU设备", "挡风板"],
    "failure": None,
    "reviews": [],
}


def test_a_held_pass_names_its_gates_and_the_items_that_no_photo_shows(capsys):
    print_ticket(TICKET, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "06618c23  挡风板安装检查  needs_review",
        "  needs review: evidence_missing (BBU设备、挡风板)",
        "  needs review: not_calibrated",
    ]
