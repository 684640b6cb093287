"""From a scenario and a command's options to a report: starts the server, sends the load, stops everything."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from engine.profile import EngineSettings
from loadtest.http.requests import Target
from loadtest.load.options import LoadOptions
from loadtest.load.payloads import draw_payloads
from loadtest.load.scenario import Scenario
from loadtest.load.search import LoadReport, perform
from loadtest.load.workers import Backend, WorkerPool
from loadtest.loop import run
from loadtest.targets.server import RunningServer
from loadtest.targets.service import our_service, raw_engine

MAX_MODEL_LEN = 8192


def measure_scenario(scenario: Scenario, options: LoadOptions) -> LoadReport:
    """The report; the terminal shows the progress meanwhile.

    Raises:
        BenchFailed: the server does not start, or dies.
    """
    from rich.console import Console

    with Console(stderr=True).status("drawing photos") as status:
        payloads = draw_payloads(scenario.photos, os.urandom(4).hex())

        async def work() -> LoadReport:
            status.update("starting the server")
            async with running_server(scenario, options) as server:
                backend = Backend(target=server.target, model=options.served_name, constrained=options.constrained)
                with WorkerPool(scenario, payloads, backend, options.processes) as workers:
                    return await perform(
                        scenario,
                        workers,
                        usage=server.usage,
                        check_alive=server.check_alive,
                        malformed_too=not options.random_weights and options.model is not None,
                        progress=status.update,
                    )

        return run(work())


@asynccontextmanager
async def running_server(scenario: Scenario, options: LoadOptions) -> AsyncGenerator[RunningServer, None]:
    """The server that the options describe: a running one, a vLLM, or our service."""
    if options.url is not None:
        yield RunningServer(target=Target.from_url(options.url, options.api_key), pid=options.pid)
    elif options.served_name is not None:
        assert options.model is not None  # LoadOptions.for_vllm requires --url or --model
        settings = EngineSettings(
            model=options.model,
            served_name=options.served_name,
            max_model_len=MAX_MODEL_LEN,
            extra_args=options.extra_args,
        )
        async with raw_engine(settings, as_it_comes=options.as_it_comes) as engine:
            yield engine
    else:
        service_settings: dict[str, str] = {}
        if options.model is not None:
            service_settings = {
                "VQC_ENGINE": "managed",
                "VQC_MODEL": str(options.model.absolute()),
                "VQC_ENGINE_ARGS": " ".join(options.extra_args),
                "VQC_MAX_MODEL_LEN": str(MAX_MODEL_LEN),
            }
        has_tickets = any(load.task == "stage-b" for load in scenario.mix)
        async with our_service(service_settings, tickets=has_tickets) as service:
            yield service
