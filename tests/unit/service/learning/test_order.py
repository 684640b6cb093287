from service.judging.records import Part
from service.learning.labelled_tickets import LabelledTicket
from service.learning.order import epoch_order, part_of
from vqc.missions import mission_named

MISSION = mission_named("挡风板安装检查")
TICKETS = [LabelledTicket(mission=MISSION, group_id=f"QC-{n}", summaries=("",)) for n in range(200)]


def test_an_epoch_has_every_ticket_once_in_an_order_of_its_own():
    first, second = (epoch_order(TICKETS, 17, epoch) for epoch in (1, 2))
    assert sorted(one.group_id for one in first) == sorted(one.group_id for one in TICKETS)
    assert first != second
    assert epoch_order(TICKETS, 18, 1) != first


def test_a_ticket_stays_in_its_part_when_others_go():
    parts = {one.group_id: part_of(one, 17, holdout=0.3, calibrate=0.2) for one in TICKETS}
    assert set(parts.values()) == set(Part)
    fewer_held = {one.group_id: part_of(one, 17, holdout=0.1, calibrate=0.2) for one in TICKETS}
    assert all(parts[name] is Part.HOLDOUT for name, part in fewer_held.items() if part is Part.HOLDOUT)
    assert {part_of(one, 17, holdout=0, calibrate=0) for one in TICKETS} == {Part.LEARN}
    assert {part_of(one, 17, holdout=1, calibrate=0) for one in TICKETS} == {Part.HOLDOUT}
