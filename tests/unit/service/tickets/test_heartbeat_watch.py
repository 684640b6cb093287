"""A heartbeat's age is how long this process has seen it unchanged."""

from service.tickets.heartbeat_watch import HeartbeatWatch


def test_an_age_counts_from_the_first_sight_and_again_with_every_change():
    now = [100.0]
    watch = HeartbeatWatch(lambda: now[0])
    ages = []
    for now[0], beat in ((100.0, "a"), (107.0, "a"), (108.0, "b"), (109.0, "b"), (110.0, "a")):
        ages.append(watch.unchanged_s("id", beat))
    assert ages == [0, 7, 0, 1, 0]


def test_what_is_quiet_is_returned_once_and_what_is_gone_is_forgotten():
    now = [0.0]
    watch = HeartbeatWatch(lambda: now[0])
    assert watch.quiet({"a": "1", "b": "1"}, 10) == []
    now[0] = 10
    assert watch.quiet({"a": "1", "b": "2"}, 10) == ["a"]
    now[0] = 19
    assert watch.quiet({"a": "1"}, 10) == []
    now[0] = 20
    assert watch.quiet({"a": "1", "b": "2"}, 10) == ["a"]
