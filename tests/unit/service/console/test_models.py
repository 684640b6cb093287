"""The models page over a registry in a directory: what it says, the gates, promotion, rollback, swaps."""

import asyncio
from datetime import UTC, datetime

import pytest

from registry import Registry, open_registry
from service.console.models_view import chart, charts
from service.models.catalogue import CatalogueSnapshot, MetricHistory
from service.models.registry_catalogue import RegistryCatalogue
from service.web.key_file import read_keys
from tests.support.console_site import Clock, Site, keys_file
from tests.support.evaluated_models import evaluated, write_policy
from tests.support.model_fleet import Fleet, until
from tests.support.service_context import context_with

PATH = "/console/models"


@pytest.fixture
def registry(tmp_path) -> Registry:
    return open_registry(tmp_path / "registry")


@pytest.fixture
def catalogue(registry, tmp_path) -> RegistryCatalogue:
    return RegistryCatalogue(registry, write_policy(tmp_path / "policy.yaml"), tmp_path / "cache")


def site_of(fleet: Fleet, folder, catalogue=None) -> Site:
    path, keys = keys_file(folder)
    context = context_with(None, models=fleet.router, swaps=fleet.swaps, keys=read_keys(path), catalogue=catalogue)
    return Site(context, Clock(datetime.now(UTC)), keys)


@pytest.fixture
def versions(registry, catalogue, tmp_path) -> tuple[str, str]:
    """The champion and a better one."""
    first, second = (evaluated(registry, tmp_path, seed, f1) for seed, f1 in ((1, 0.6), (2, 0.7)))
    catalogue.promote(first, "champion", expected=None, by="Li", reason="first")
    return first, second


async def test_without_a_registry_only_models_in_service_are_shown(visitor):
    html = (await visitor.get(PATH)).text
    assert "champion" in html
    assert "VQC_REGISTRY" in html
    assert (await visitor.get(f"{PATH}/candidacy?version=a&alias=b")).status_code == 503


@pytest.mark.usefixtures("impatient")
async def test_a_version_is_examined_promoted_served_and_rolled_back(tmp_path, registry, catalogue, versions):
    first, second = versions
    async with Fleet() as fleet, site_of(fleet, tmp_path, catalogue).visitor("all") as visitor:
        html = (await visitor.get(PATH)).text
        for said in (first, second, f"{1:040x}", "f1_50_box", "<svg", "≥ 0.5", "≤ 0.02"):
            assert said in html
        gates = (await visitor.get(f"{PATH}/candidacy?version={second}&alias=champion")).text
        assert "可以晋级" in gates
        fleet.registry.aliases["champion"] = "v2"
        form = {"version": second, "alias": "champion", "expected": first, "reason": "冬季"}
        done = await visitor.post(f"{PATH}/promote", **form)
        assert (done.status_code, registry.resolve("champion")) == (303, second)
        await until(lambda: fleet.router.model.digest == "v2")
        assert "冬季" in (await visitor.get(done.headers["location"])).text
        back = await visitor.post(f"{PATH}/rollback", alias="champion", expected=second, to=first)
        assert (back.status_code, registry.resolve("champion")) == (303, first)
        assert registry.audit()[-1].actor.startswith("王工 (")


async def test_the_findings_of_a_gate_are_listed(tmp_path, registry, catalogue, versions):
    bare = evaluated(registry, tmp_path, 9, contract=False)
    async with Fleet() as fleet, site_of(fleet, tmp_path, catalogue).visitor("all") as visitor:
        gates = (await visitor.get(f"{PATH}/candidacy?version={bare}&alias=champion")).text
        assert "训练时的 grammar 契约" in gates
        assert "缺少这份报告：vqc-registry attach VERSION --type evaluation FILE" in gates
        assert 'action="/console/models/promote"' not in gates
        form = {"version": bare, "alias": "champion", "expected": versions[0]}
        refused = await visitor.post(f"{PATH}/promote", **form)
        assert refused.status_code == 409
        assert refused.text.count("<li>") == 2
        assert "<li>contract：训练时的 grammar 契约" in refused.text
        assert registry.resolve("champion") == versions[0]


async def test_a_page_that_is_out_of_date_moves_nothing(tmp_path, registry, catalogue, versions):
    first, second = versions
    async with Fleet() as fleet, site_of(fleet, tmp_path, catalogue).visitor("all") as visitor:
        form = {"version": second, "alias": "champion", "expected": ""}
        late = await visitor.post(f"{PATH}/promote", **form)
        assert (late.status_code, "刚被他人改到" in late.text) == (409, True)
        assert registry.resolve("champion") == first


@pytest.mark.usefixtures("impatient")
async def test_a_swap_is_followed_to_its_end(tmp_path):
    async with Fleet() as fleet, site_of(fleet, tmp_path).visitor("all") as visitor:
        fleet.registry.aliases["champion"] = "v2"
        async with fleet.router.pin("ticket"):
            assert (await visitor.post(f"{PATH}/reload", alias="champion")).status_code == 303
            await until(lambda: fleet.router.model.digest == "v2" and fleet.swaps.stopping)
            part = (await visitor.get(f"{PATH}/serving")).text
            assert "正在切换：champion，v1 还有 1 个请求要完成" in part
            assert "排空中" in part
            busy = await visitor.post(f"{PATH}/reload", alias="champion")
            assert busy.status_code == 409
        await until(lambda: fleet.swaps.status.summary is None)
        assert "已切换" in (await visitor.get(f"{PATH}/serving")).text


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("language", "words"),
    [("zh", "champion，正在启动 v2（正在加载权重）"), ("en", "champion, starting v2 (loading weights)")],
)
async def test_the_progress_of_the_new_engine_is_in_the_readers_language(tmp_path, language, words):
    async with Fleet() as fleet, site_of(fleet, tmp_path).visitor("all") as visitor:
        fleet.registry.aliases["champion"], fleet.options["polls"] = "v2", 1_000_000
        await visitor.post(f"{PATH}/reload", alias="champion")
        await until(lambda: fleet.swaps.status.progress and fleet.swaps.status.progress.code == "starting")
        visitor.client.cookies.set("vqc_language", language)
        assert words in (await visitor.get(f"{PATH}/serving")).text
        fleet.engine("v2").polls = 0
        await until(lambda: fleet.swaps.status.summary is None)


@pytest.mark.usefixtures("impatient")
async def test_a_swap_that_fails_says_why(tmp_path):
    async with Fleet() as fleet, site_of(fleet, tmp_path).visitor("all") as visitor:
        fleet.broken["v2"] = "out of <memory>"
        fleet.registry.aliases["champion"] = "v2"
        await visitor.post(f"{PATH}/reload", alias="champion")
        await until(lambda: fleet.swaps.status.summary is None)
        await asyncio.sleep(0)
        assert "out of &lt;memory&gt;" in (await visitor.get(PATH)).text
        assert (await visitor.post(f"{PATH}/reload", alias="nobody")).status_code == 404


async def test_without_admin_aliases_are_read_only(tmp_path, registry, catalogue, versions):
    first, second = versions
    async with Fleet() as fleet, site_of(fleet, tmp_path, catalogue).visitor("looks") as visitor:
        html = (await visitor.get(PATH)).text
        assert "f1_50_box" in html
        assert not any(f'action="{PATH}/{act}"' in html for act in ("reload", "rollback"))
        for act, form in (
            ("promote", {"version": second, "alias": "champion", "expected": first}),
            ("rollback", {"alias": "champion", "expected": first, "to": second}),
            ("reload", {"alias": "champion"}),
        ):
            assert (await visitor.post(f"{PATH}/{act}", **form)).status_code == 403
        assert registry.resolve("champion") == first


async def test_a_registry_that_cannot_be_read_leaves_the_rest_of_the_page(tmp_path, registry, catalogue, versions):
    (tmp_path / "registry" / "index.json").write_text("{")
    async with Fleet() as fleet, site_of(fleet, tmp_path, catalogue).visitor("all") as visitor:
        answer = await visitor.get(PATH)
        assert answer.status_code == 503
        assert "cannot be used" in answer.text
        assert "v1" in answer.text


async def test_without_a_policy_file_everything_is_shown_and_nothing_can_be_promoted(tmp_path, registry, versions):
    catalogue = RegistryCatalogue(registry, tmp_path / "none.yaml", tmp_path)
    async with Fleet() as fleet, site_of(fleet, tmp_path, catalogue).visitor("all") as visitor:
        html = (await visitor.get(PATH)).text
    assert "none.yaml" in html
    assert "candidacy" not in html


def test_a_bar_longer_than_one_scales_the_chart_and_an_empty_one_is_not_drawn():
    one = MetricHistory(
        report="r", metric="m", minimum=None, maximum=2.0, values=(("sha256:a", 4.0), ("sha256:b", 1.0))
    )
    drawn = chart(one, {})
    assert [(bar.width, bar.missed) for bar in drawn.bars] == [(380.0, True), (95.0, False)]
    none = MetricHistory(report="r", metric="m", minimum=None, maximum=None, values=())
    assert charts([none], CatalogueSnapshot(where="", versions=(), aliases=(), moves=())) == []
