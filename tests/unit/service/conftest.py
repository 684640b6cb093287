"""The application on the scripted engine, called without a network."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest

from engine.scripted import ScriptedEngine
from service.api.app import create_app
from service.api.auth import KeyRing
from service.api.context import Context, Defaults
from service.application.caption import CaptionPhoto
from service.application.intake import Intake
from service.application.observe import Observer
from service.application.photos import PhotoReader
from service.application.stage_a import SummarisePhotos
from service.domain.errors import UrlRejected
from service.domain.results import ServedModel
from service.metrics import Metrics
from vqc.image import PhotoLimits


async def no_fetch(url: str) -> bytes:
    raise UrlRejected(url, "off in this test")


def context_with(
    engine, *, keys=None, limits=None, max_in_flight=64, fetch=no_fetch, max_body_bytes=2**20, timeout_s=5
) -> Context:
    intake = Intake(max_in_flight)
    model = ServedModel(alias="champion", digest="d" * 64)
    reader = PhotoReader(limits or PhotoLimits(), threads=2)
    return Context(
        engine=engine,
        model=model,
        caption=CaptionPhoto(engine, reader, Observer()),
        stage_a=SummarisePhotos(engine, reader, Observer()),
        fetch=fetch,
        keys=KeyRing(keys),
        intake=intake,
        metrics=Metrics(intake, model),
        defaults=Defaults(timeout_s=timeout_s),
        max_body_bytes=max_body_bytes,
    )


@asynccontextmanager
async def client_of(context: Context) -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app=create_app(context), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://vqc.test") as client:
        yield client


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
async def client(engine) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with client_of(context_with(engine)) as client:
        yield client
