"""Photos dropped into the page: objects appear one after another, every error has a sentence, names stay text."""

from __future__ import annotations

import io
import json
import re

from PIL import Image
from playwright.async_api import expect

from engine.scripted import ScriptedEngine
from scenes.defect_rates import Theme
from scenes.overlay import color_of
from scenes.scene import draw_scene
from service.models.deployment import Deployment
from service.models.roles import ServedModel
from service.platform.shares import Role
from tests.support import photos
from tests.support.browser import ON_THE_SESSIONS_LOOP, Person, Served
from vqc.caption import CaptionObject, DenseCaption
from vqc.codec import render
from vqc.geometry import Kind, Shape
from vqc.missions import missions

pytestmark = ON_THE_SESSIONS_LOOP

SCENE = draw_scene(3, theme=Theme.RRU)
CAPTION = DenseCaption.from_pixels(SCENE.objects, SCENE.image.size)
PHOTO = photos.encoded(SCENE.image, "JPEG")
WATCH = """() => {
    window.seen = [];
    new MutationObserver(() => {
        const now = document.querySelectorAll(".overlay-object").length;
        if (now && now !== window.seen.at(-1)) window.seen.push(now);
    }).observe(document, {subtree: true, childList: true});
}"""
"""Records the number of objects each time it changes."""
ACTIVE, LINE = re.compile("overlay-active"), re.compile(".{2,}")
EVIL = "<img src=x onerror=alert(1)>'.jpg"


def answering(served: Served, text: str | None = None, *, pause_s: float = 0.0) -> ScriptedEngine:
    """Makes the service answer ``text`` (None: plausible answers), with ``pause_s`` between the pieces."""
    script = {} if text is None else {"script": lambda request, index: text}
    engine = ScriptedEngine(**script, token_interval_s=pause_s)
    served.site.context.models.router.activate(
        Role.MAIN, Deployment(engine, ServedModel(alias="champion", digest="d" * 64))
    )
    return engine


def dominant(image: Image.Image, x: float, y: float) -> str:
    """The strongest channel of the pixel at ``x`` and ``y``, shares of the sides."""
    pixel = image.getpixel((int(image.width * x), int(image.height * y)))
    return max(zip(pixel, ("red", "green", "blue"), strict=True))[1]


async def drop_photos(person: Person, *files: tuple[str, bytes]) -> None:
    await person.page.goto("/console/try")
    payload = [{"name": name, "mimeType": "image/jpeg", "buffer": data} for name, data in files]
    await person.page.locator("#photos").set_input_files(payload)


async def test_objects_appear_one_after_another_and_then_the_whole_answer(served: Served):
    answering(served, render(CAPTION), pause_s=0.002)
    person = await served.person()
    page = person.page
    await page.get_by_role("link", name="试一试").click()
    await page.wait_for_url("**/console/try")
    await page.evaluate(WATCH)
    await page.locator("#photos").set_input_files([{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": PHOTO}])
    await expect(page.locator("[data-state=done]")).to_be_visible()
    count = len(CAPTION.objects)
    seen = await page.evaluate("window.seen")
    assert seen[:count] == list(range(1, count + 1))
    entries = await page.locator(".overlay-entry").all_inner_texts()
    assert entries == [f"{n} {item.desc}" for n, item in enumerate(CAPTION.objects, start=1)]
    await page.locator(".try-take summary").click()
    answer = json.loads(await page.locator(".try-json").inner_text())
    assert [item["desc"] for item in answer["caption"].values()] == [item.desc for item in CAPTION.objects]
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_list_and_picture_highlight_together_and_work_by_keyboard(served: Served):
    answering(served, render(CAPTION))
    person = await served.person()
    await drop_photos(person, ("a.jpg", PHOTO))
    page = person.page
    await expect(page.locator("[data-state=done]")).to_be_visible()
    await page.locator(".overlay-entry[data-n='2']").hover()
    await expect(page.locator(".overlay-object[data-n='2']")).to_have_class(ACTIVE)
    box = await page.locator(".overlay-object[data-n='1'] .overlay-line").bounding_box()
    assert box
    await page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 6)
    await expect(page.locator(".overlay-entry[data-n='1']")).to_have_class(ACTIVE)
    await page.mouse.move(1, 1)
    await page.locator(".overlay-entry[data-n='3']").focus()
    await expect(page.locator(".overlay-object[data-n='3']")).to_have_class(ACTIVE)
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".overlay-object[data-n='4']")).to_have_class(ACTIVE)
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.locator(".overlay-entry[data-n='3']")).to_have_attribute("aria-pressed", "true")
    category = CAPTION.objects[0].desc.split("/")[0]
    await page.get_by_role("checkbox", name=category).uncheck()
    hidden = [n for n, item in enumerate(CAPTION.objects, start=1) if item.desc.split("/")[0] == category]
    await expect(page.locator(f".overlay-object[data-n='{hidden[0]}']")).to_be_hidden()
    await expect(page.locator(f".overlay-entry[data-n='{hidden[0]}']")).to_be_hidden()
    picture = page.locator(".overlay-picture")
    await picture.focus()
    whole = await picture.get_attribute("viewBox")
    await page.keyboard.press("+")
    near = await picture.get_attribute("viewBox")
    await page.keyboard.press("ArrowRight")
    assert len({whole, near, await picture.get_attribute("viewBox")}) == 3
    await page.keyboard.press("0")
    assert await picture.get_attribute("viewBox") == whole
    assert await person.axe_violations() == []


async def test_a_type_of_its_own_has_the_colour_of_the_drawn_overlay(served: Served):
    kinds = ["蓄电池", "空调", "走线架", "BBU设备"]
    objects = tuple(
        CaptionObject(shape=Shape(Kind.BBOX, (n * 100, 10, n * 100 + 90, 200)), desc=kind)
        for n, kind in enumerate(kinds)
    )
    answering(served, render(DenseCaption(objects)))
    person = await served.person()
    await drop_photos(person, ("a.jpg", PHOTO))
    await expect(person.page.locator("[data-state=done]")).to_be_visible()
    strokes = await person.page.locator("polygon.overlay-line").evaluate_all(
        "lines => lines.map(line => getComputedStyle(line).stroke)"
    )
    assert sorted(strokes) == sorted("rgb({}, {}, {})".format(*color_of(kind)) for kind in kinds)


async def test_bad_photos_have_a_sentence_and_the_good_one_is_still_shown(served: Served):
    answering(served, render(CAPTION))
    person = await served.person()
    bad = {"empty.jpg": b"", "text.jpg": b"not a picture", "cut.jpg": PHOTO[: len(PHOTO) // 2]}
    await drop_photos(person, ("good.jpg", PHOTO), *bad.items())
    page = person.page
    await expect(page.locator("[data-state=done]")).to_have_count(1)
    await expect(page.locator("[data-state=failed]")).to_have_count(len(bad))
    said = await page.locator("[data-state=failed] .try-problem-text").all_inner_texts()
    assert len(set(said)) == len(bad)
    assert "服务未能完成这次请求。" not in said
    await page.locator("[data-state=failed] .try-remove").first.click()
    await expect(page.locator("[data-state=failed]")).to_have_count(len(bad) - 1)


async def test_a_file_over_every_limit_is_not_even_sent(served: Served):
    engine = answering(served, render(CAPTION))
    person = await served.person()
    await person.page.goto("/console/try")
    await person.page.evaluate("document.getElementById('try').dataset.maxBytes = '1000'")
    await person.page.locator("#photos").set_input_files(
        [{"name": "large.jpg", "mimeType": "image/jpeg", "buffer": PHOTO}]
    )
    await expect(person.page.get_by_text("文件超过服务能接收的大小")).to_be_visible()
    assert not engine.requests


async def test_a_photo_name_with_html_and_quotes_stays_text(served: Served):
    answering(served, render(CAPTION))
    person = await served.person()
    await drop_photos(person, (EVIL, PHOTO))
    page = person.page
    await expect(page.locator("[data-state=done]")).to_be_visible()
    await expect(page.get_by_role("heading", name=EVIL)).to_be_visible()
    assert await page.locator("img[src=x]").count() == 0
    await page.locator(".try-take summary").click()
    command = await page.locator(".try-curl").inner_text()
    assert """-F 'photo=@"<img src=x onerror=alert(1)>'\\''.jpg"'""" in command
    assert "Authorization: Bearer $VQC_KEY" in command
    assert (person.page_errors, person.foreign_requests) == ([], [])


async def test_a_photo_is_dropped_beside_the_field_and_its_answer_copied(served: Served):
    answering(served, render(CAPTION))
    person = await served.person(permissions=["clipboard-read", "clipboard-write"])
    page = person.page
    await page.goto("/console/try")
    transfer = await page.evaluate_handle(
        """bytes => {
            const held = new DataTransfer();
            held.items.add(new File([new Uint8Array(bytes)], "a.jpg", {type: "image/jpeg"}));
            return held;
        }""",
        list(PHOTO),
    )
    await page.dispatch_event("h1", "drop", {"dataTransfer": transfer})
    await expect(page.locator("[data-state=done]")).to_be_visible()
    await page.locator(".try-take summary").click()
    await page.locator("[data-copies='.try-json']").click()
    await expect(page.locator("[data-copies='.try-json']")).to_have_text("已复制")
    copied = json.loads(await page.evaluate("navigator.clipboard.readText()"))
    assert len(copied["caption"]) == len(CAPTION.objects)


async def test_a_line_is_requested_for_the_chosen_mission(served: Served):
    answering(served)
    person = await served.person()
    await drop_photos(person, ("a.jpg", PHOTO))
    page = person.page
    await expect(page.locator("[data-state=done]")).to_be_visible()
    await expect(page.locator(".try-line")).to_be_hidden()
    await page.get_by_label("任务").select_option(next(iter(missions())))
    await expect(page.locator(".try-line-text")).to_have_text(LINE)


async def test_an_ended_session_is_reported_beside_the_photo(served: Served):
    person = await served.person()
    await person.page.goto("/console/try")
    await person.context.clear_cookies()
    await person.page.locator("#photos").set_input_files([{"name": "a.jpg", "mimeType": "image/jpeg", "buffer": PHOTO}])
    await expect(person.page.get_by_text("登录已过期")).to_be_visible()


async def test_without_the_scope_there_is_no_page(served: Served):
    person = await served.person("looks")
    answer = await person.page.goto("/console/try")
    assert answer
    assert answer.status == 403
    await expect(person.page.get_by_role("heading", name="没有权限")).to_be_visible()


async def test_a_rotated_photo_matches_its_objects(served: Served):
    """Coordinates are of the upright photo, whose lower right is green. Chromium turns no WebP and shows no HEIC."""
    answering(served, render(DenseCaption()))
    person = await served.person()
    kinds = ("PNG", "WEBP", "HEIF")
    await drop_photos(person, *((f"turned.{kind.lower()}", photos.oriented(6, kind)) for kind in kinds))
    await expect(person.page.locator("[data-state=done]")).to_have_count(3)
    for n in range(3):
        picture = person.page.locator(".overlay-picture").nth(n)
        size = [await picture.locator("image").get_attribute(side) for side in ("width", "height")]
        assert size == ["64", "48"]
        with Image.open(io.BytesIO(await picture.screenshot())) as seen:
            assert dominant(seen.convert("RGB"), 0.7, 0.7) == "green"
            assert dominant(seen.convert("RGB"), 0.3, 0.7) == "blue"
    await expect(person.page.get_by_text("照片中没有识别到目标。")).to_have_count(3)
