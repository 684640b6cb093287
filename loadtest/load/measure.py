"""From a scenario and the command's options to a report: starts what is measured, sends the load, stops everything."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from engine.profile import EngineSettings
from loadtest.http.requests import Target
from loadtest.load.options import Given
from loadtest.load.payloads import supply_of
from loadtest.load.scenario import Scenario
from loadtest.load.search import LoadReport, perform
from loadtest.load.workers import Crew, Door
from loadtest.loop import run
from loadtest.targets.service import Served, our_service, raw_engine

MAX_MODEL_LEN = 8192


def measured(scenario: Scenario, given: Given) -> LoadReport:
    """The report, progress on the terminal meanwhile.

    Raises:
        BenchFailed: what is measured does not start or goes away.
    """
    from rich.console import Console

    with Console(stderr=True).status("drawing photos") as status:
        supply = supply_of(scenario.photos, os.urandom(4).hex())

        async def work() -> LoadReport:
            status.update("starting what is measured")
            async with served(scenario, given) as server:
                door = Door(target=server.target, model=given.served_name, constrained=given.constrained)
                with Crew(scenario, supply, door, given.processes) as crew:
                    return await perform(
                        scenario,
                        crew,
                        usage=server.usage,
                        check_alive=server.check_alive,
                        malformed_too=not given.random_weights and given.model is not None,
                        starting=status.update,
                    )

        return run(work())


@asynccontextmanager
async def served(scenario: Scenario, given: Given) -> AsyncGenerator[Served, None]:
    """What the load is sent to, running."""
    if given.url is not None:
        yield Served(target=Target.from_url(given.url, given.api_key), pid=given.pid)
    elif given.served_name is not None:
        assert given.model is not None  # the options see to it
        settings = EngineSettings(
            model=given.model,
            served_name=given.served_name,
            max_model_len=MAX_MODEL_LEN,
            extra_args=given.extra_args,
        )
        async with raw_engine(settings, as_it_comes=given.as_it_comes) as engine:
            yield engine
    else:
        settings_of_ours: dict[str, str] = {}
        if given.model is not None:
            settings_of_ours = {
                "VQC_ENGINE": "managed",
                "VQC_MODEL": str(given.model.absolute()),
                "VQC_ENGINE_ARGS": " ".join(given.extra_args),
                "VQC_MAX_MODEL_LEN": str(MAX_MODEL_LEN),
            }
        tickets = any(load.task == "stage-b" for load in scenario.mix)
        async with our_service(settings_of_ours, tickets=tickets) as service:
            yield service
