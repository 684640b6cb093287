"""The image-key contract of messages."""

from __future__ import annotations

import pytest
from PIL import Image

from trainer.data.messages import chat_turn, image_value, single_turn
from vqc.errors import InvalidValue
from vqc.prompts import dense_prompt

ANSWER = {"role": "assistant", "content": "好"}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "image", "image": "a.jpg"},
        {"type": "image_url", "image_url": "a.jpg"},
        {"type": "image_url", "image_url": {"url": "a.jpg"}},
        {"type": "image_url", "image": "a.jpg"},
        {"type": "image", "image": {"url": "a.jpg"}},
    ],
)
def test_the_accepted_spellings(item: dict[str, object]) -> None:
    assert image_value(item) == "a.jpg"
    turn = chat_turn([{"role": "user", "content": [item, {"type": "text", "text": "看"}]}, ANSWER])
    assert (turn.images, turn.prompt.after, turn.answer) == (("a.jpg",), "看", "好")


@pytest.mark.parametrize(
    "item", [{"type": "image", "url": "a.jpg"}, {"type": "image", "path": "a.jpg"}, {"type": "image", "image": ""}]
)
def test_a_value_under_another_key_is_an_error(item: dict[str, object]) -> None:
    with pytest.raises(InvalidValue, match="under the key 'image'"):
        chat_turn([{"role": "user", "content": [item]}, ANSWER])


def test_our_own_messages_hold_images_under_image() -> None:
    picture = Image.new("RGB", (8, 8))
    _, user, assistant = single_turn(dense_prompt(), [picture], "{}")
    assert user["content"][0] == {"type": "image", "image": picture}  # type: ignore[index]
    assert assistant == {"role": "assistant", "content": [{"type": "text", "text": "{}"}]}


def test_tags_in_plain_text_are_filled_in_order() -> None:
    turn = chat_turn([{"role": "user", "content": "前<image><image>后"}, ANSWER], ["a", "b"])
    assert (turn.prompt.before, turn.images, turn.prompt.after) == ("前", ("a", "b"), "后")
    with pytest.raises(InvalidValue, match="as many images"):
        chat_turn([{"role": "user", "content": "<image>x"}, ANSWER], [])
    with pytest.raises(InvalidValue, match="must be adjacent"):
        chat_turn([{"role": "user", "content": "<image>x<image>"}, ANSWER], ["a", "b"])


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        [ANSWER],
        [{"role": "user", "content": "x"}, ANSWER, {"role": "user", "content": "y"}, ANSWER],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": ""}],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": [{"type": "image", "image": "a"}]}],
        [{"role": "user", "content": [{"type": "video", "video": "a"}]}, ANSWER],
        [{"role": "user", "content": 3}, ANSWER],
        [{"role": "user", "content": [{"type": "text", "value": "x"}]}, ANSWER],
    ],
)
def test_anything_but_one_turn_is_an_error(messages: object) -> None:
    with pytest.raises(InvalidValue):
        chat_turn(messages)
