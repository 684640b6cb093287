"""Swaps under load: no request is lost or answered by two models, and a failure leaves the old model active."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import EngineUnavailable
from service.models import swap as models_swap
from service.models.swap import ServedRole, SwapResult
from service.platform.errors import SwapFailed, SwapRunning, UnknownModel
from service.platform.shares import Role, Share
from tests.support.model_fleet import MAIN, Fleet, answer, asked, until
from vqc.errors import InvalidValue, VqcError

pytestmark = pytest.mark.usefixtures("impatient")


class RegistryDown(VqcError):
    pass


async def ticket(fleet: Fleet, name: str, questions: int) -> set[str]:
    """Everything that one pinned request was told, and by whom it says that it was."""
    async with fleet.router.pin(name) as pinned:
        told = set()
        for n in range(questions):
            told.add((await pinned.engine.generate(asked(f"{name}-{n}"))).completions[0].text)
        return {*told, pinned.model.digest}


@given(
    room=st.booleans(),
    clients=st.integers(1, 8),
    questions=st.integers(1, 4),
    latency_ms=st.integers(0, 3),
    moves=st.lists(st.sampled_from(["v1", "v2", "v3", "broken", "unfetchable"]), min_size=1, max_size=5),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_request_is_lost_and_none_is_answered_by_two_models(room, clients, questions, latency_ms, moves):
    async def scenario() -> None:
        fleet = Fleet(room=room)
        fleet.broken["broken"] = "out of memory"
        fleet.registry.failures["unfetchable"] = RegistryDown("no route")
        fleet.options["latency_s"] = latency_ms / 1000
        finished, over = 0, False

        async def client(number: int) -> None:
            nonlocal finished
            n = 0
            while not over or not n:
                told = await ticket(fleet, f"{number}-{n}", questions)
                assert len(told) == 1, told
                finished, n = finished + 1, n + 1
                await asyncio.sleep(0)

        async with fleet:
            load = [asyncio.create_task(client(number)) for number in range(clients)]
            for move in moves:
                before, fleet.registry.aliases["champion"] = fleet.router.model.digest, move
                if move in ("broken", "unfetchable"):
                    with pytest.raises(SwapFailed) as failed:
                        await fleet.swaps.reload("champion")
                    assert failed.value.active == before == await answer(fleet)
                else:
                    swap = await fleet.swaps.reload("champion")
                    assert (swap.digest, swap.cut) == (move, 0)
                    assert await answer(fleet) == move
                assert fleet.registry.leased == [fleet.router.model.digest]
            over = True
            await asyncio.gather(*load)
            assert finished >= clients
            up = [engine for engine in fleet.engines if engine.closed_with_in_flight is None]
            assert [engine.digest for engine in up] == [fleet.router.model.digest]
        assert {engine.closed_with_in_flight for engine in fleet.engines} == {0}
        assert fleet.registry.leased == []

    asyncio.run(scenario())


async def test_blue_green_waits_for_the_new_engine_before_it_drains_the_old_one():
    async with Fleet() as fleet:
        fleet.registry.aliases["champion"] = "v2"
        async with fleet.router.pin("long") as pinned:
            reload = asyncio.create_task(fleet.swaps.reload("champion"))
            await until(lambda: fleet.router.model.digest == "v2")
            assert fleet.engine("v2").polls == 0
            assert [deployment.model.digest for deployment in fleet.swaps.stopping] == ["v1"]
            assert await answer(fleet) == "v2"
            assert (await pinned.engine.generate(asked())).completions[0].text == "v1"
            assert fleet.engine("v1").closed_with_in_flight is None
        swap = await reload
    assert (swap.outcome, swap.mode, swap.before, swap.digest) == ("swapped", "blue_green", "v1", "v2")
    assert 0 < swap.double_memory_s <= swap.seconds
    assert fleet.observer.swaps == [("swapped", swap.seconds, swap.double_memory_s)]


async def test_if_two_engines_do_not_fit_the_old_one_stops_first_and_requests_wait():
    async with Fleet(room=False) as fleet:
        fleet.registry.aliases["champion"] = "v2"
        async with fleet.router.pin("long"):
            reload = asyncio.create_task(fleet.swaps.reload("champion"))
            await until(lambda: fleet.router.active(Role.MAIN) is None)
            waiting = asyncio.create_task(answer(fleet, "late"))
            health = await fleet.router.health()
            assert not health.ready
            assert "replacing 'champion'" in health.reason
            assert len(fleet.engines) == 1
        swap = await reload
        assert await waiting == "v2"
    assert (swap.mode, swap.double_memory_s) == ("drain", 0.0)


async def test_a_request_that_waits_too_long_gets_the_reason_and_retry_after():
    fleet = Fleet(room=False, wait_s=0.01)
    async with fleet:
        fleet.registry.aliases["champion"] = "v2"
        async with fleet.router.pin("long"):
            reload = asyncio.create_task(fleet.swaps.reload("champion"))
            await until(lambda: fleet.router.active(Role.MAIN) is None)
            with pytest.raises(EngineUnavailable, match="replacing 'champion'") as refused:
                await answer(fleet)
            assert refused.value.retry_after_s > 0
        await reload


@pytest.mark.parametrize("room", [True, False])
async def test_a_version_that_does_not_start_leaves_the_old_one_active_and_reports_why(room):
    async with Fleet(room=room) as fleet:
        fleet.broken["v2"] = "out of memory"
        fleet.registry.aliases["champion"] = "v2"
        with pytest.raises(SwapFailed, match="out of memory; active: v1$") as failed:
            await fleet.swaps.reload("champion")
        assert fleet.swaps.status.last_result is failed.value
        assert fleet.swaps.status.summary is None
        assert await answer(fleet) == "v1"
        assert fleet.engine("v2").closed_with_in_flight == 0
        assert [outcome for outcome, *_ in fleet.observer.swaps] == ["failed"]
        fleet.broken.clear()
        assert (await fleet.swaps.reload("champion")).outcome == "swapped"


async def test_one_swap_at_a_time():
    async with Fleet() as fleet:
        fleet.registry.aliases["champion"] = "v2"
        first = asyncio.create_task(fleet.swaps.reload("champion"))
        await asyncio.sleep(0)
        with pytest.raises(SwapRunning, match="'champion'"):
            await fleet.swaps.reload("champion")
        assert (await first).digest == "v2"
        assert (await fleet.swaps.reload("champion")).outcome == "unchanged"


async def test_a_caller_that_disconnects_does_not_stop_the_swap():
    async with Fleet() as fleet:
        fleet.registry.aliases["champion"] = "v2"
        caller = asyncio.create_task(fleet.swaps.reload("champion"))
        await asyncio.sleep(0)
        caller.cancel()
        await until(lambda: isinstance(fleet.swaps.status.last_result, SwapResult))
        assert await answer(fleet) == "v2"


async def test_an_unknown_alias_is_rejected_with_the_served_ones():
    async with Fleet() as fleet:
        with pytest.raises(UnknownModel, match="'champoin'; served aliases: champion"):
            await fleet.swaps.reload("champoin")


async def test_requests_that_do_not_finish_in_time_are_cut_and_counted():
    async with Fleet(drain_s=0.01) as fleet:
        fleet.registry.aliases["champion"] = "v2"
        async with fleet.router.pin("endless"):
            assert (await fleet.swaps.reload("champion")).cut == 1


async def test_the_service_can_stop_in_the_middle_of_a_swap():
    fleet = Fleet()
    async with fleet:
        fleet.registry.aliases["champion"] = "v2"
        fleet.options["polls"] = 10**9
        reload = asyncio.create_task(fleet.swaps.reload("champion"))
        await until(lambda: len(fleet.engines) == 2)
    assert {engine.closed_with_in_flight for engine in fleet.engines} == {0}
    assert fleet.registry.leased == []
    with pytest.raises(asyncio.CancelledError):
        await reload


class TestWatch:
    async def test_the_watch_follows_the_alias_and_back(self):
        async with Fleet() as fleet:
            fleet.swaps.follow(0.001)
            for digest in ("v2", "v1"):
                fleet.registry.aliases["champion"] = digest
                await until(lambda digest=digest: fleet.router.model.digest == digest)
                assert await answer(fleet) == digest

    async def test_the_watch_does_not_retry_a_failed_start_until_the_alias_moves(self):
        async with Fleet() as fleet:
            fleet.broken["v2"] = "out of memory"
            fleet.swaps.follow(0.001)
            fleet.registry.aliases["champion"] = "v2"
            await until(lambda: fleet.swaps.status.last_result is not None)
            await asyncio.sleep(0.02)
            assert [engine.digest for engine in fleet.engines] == ["v1", "v2"]
            fleet.registry.aliases["champion"] = "v3"
            await until(lambda: fleet.router.model.digest == "v3")

    async def test_the_watch_retries_a_failed_fetch_later(self, monkeypatch):
        monkeypatch.setattr(models_swap, "FETCH_AGAIN_S", 0.01)
        async with Fleet() as fleet:
            fleet.registry.failures["v2"] = RegistryDown("no route")
            fleet.swaps.follow(0.001)
            fleet.registry.aliases["champion"] = "v2"
            await until(lambda: fleet.registry.fetched.count("v2") >= 2)
            fleet.registry.failures.clear()
            await until(lambda: fleet.router.model.digest == "v2")

    async def test_the_watch_does_not_fetch_a_version_of_another_contract_again(self, monkeypatch):
        monkeypatch.setattr(models_swap, "FETCH_AGAIN_S", 0.0)
        async with Fleet() as fleet:
            fleet.registry.failures["v2"] = InvalidValue(
                "VQC_MODEL", "v2", "must be trained with this version's prompts"
            )
            fleet.swaps.follow(0.001)
            fleet.registry.aliases["champion"] = "v2"
            await until(lambda: fleet.swaps.status.last_result is not None)
            await asyncio.sleep(0.02)
            assert fleet.registry.fetched.count("v2") == 1
            assert "prompts" in str(fleet.swaps.status.last_result)

    async def test_the_watch_survives_a_deleted_alias(self):
        async with Fleet() as fleet:
            fleet.swaps.follow(0.001)
            fleet.registry.aliases.clear()
            await asyncio.sleep(0.02)
            fleet.registry.aliases["champion"] = "v2"
            await until(lambda: fleet.router.model.digest == "v2")


class TestCanary:
    served = (MAIN, ServedRole(role=Role.CANARY, alias="candidate", ref="candidate"))

    def fleet(self, **options) -> Fleet:
        fleet = Fleet(served=self.served, canary=Share(alias="candidate", part=0.5), **options)
        fleet.registry.aliases["candidate"] = "v2"
        return fleet

    async def test_the_canary_answers_its_share_and_always_the_same_requests(self):
        async with self.fleet() as fleet:
            fleet.swaps.follow(0)
            await until(lambda: fleet.router.active(Role.CANARY))
            first, second = [[await answer(fleet, str(n)) for n in range(100)] for _ in range(2)]
            assert first == second
            assert 30 < first.count("v2") < 70
            assert {(role.value, model.alias) for role, model in fleet.observer.active} == {
                ("main", "champion"),
                ("canary", "candidate"),
            }

    async def test_while_the_canary_is_down_the_main_model_answers(self):
        async with self.fleet() as fleet:
            fleet.swaps.follow(0)
            await until(lambda: fleet.router.active(Role.CANARY))
            await fleet.engine("v2").aclose()
            assert {await answer(fleet, str(n)) for n in range(50)} == {"v1"}
            assert fleet.router.active(Role.CANARY).in_flight.count == 0

    async def test_a_promoted_canary_is_withdrawn(self):
        async with self.fleet() as fleet:
            fleet.swaps.follow(0.001)
            await until(lambda: fleet.router.active(Role.CANARY))
            fleet.registry.aliases["champion"] = "v2"
            await until(lambda: fleet.router.model.digest == "v2" and not fleet.router.active(Role.CANARY))
            assert {await answer(fleet, str(n)) for n in range(20)} == {"v2"}

    async def test_if_a_canary_does_not_fit_the_main_model_stays(self):
        async with self.fleet(room=False) as fleet:
            fleet.swaps.follow(0)
            await until(lambda: fleet.swaps.status.last_result is not None)
            assert "no room" in str(fleet.swaps.status.last_result)
            assert {await answer(fleet, str(n)) for n in range(20)} == {"v1"}


class TestShadow:
    served = (MAIN, ServedRole(role=Role.SHADOW, alias="candidate", ref="candidate"))

    async def test_the_shadow_is_compared_and_never_answers(self):
        fleet = Fleet(served=self.served, shadow=Share(alias="candidate", part=1.0))
        fleet.registry.aliases["candidate"] = "v2"
        async with fleet:
            fleet.swaps.follow(0)
            await until(lambda: fleet.router.active(Role.SHADOW))
            assert {await answer(fleet, str(n)) for n in range(3)} == {"v1"}
            await until(lambda: len(fleet.observer.agreements) == 3)
            assert fleet.observer.agreements == ["different"] * 3
            shadow = fleet.router.active(Role.SHADOW)
            await until(lambda: shadow.in_flight.count == 0)
            assert fleet.observer.roles == [Role.MAIN] * 3
