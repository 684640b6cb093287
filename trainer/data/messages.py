"""Single-turn chat messages: of our own samples, and of chat records that users write.

A content item holds its value under the key that its ``type`` names: ``{"type": "image", "image": …}``.
``{"type": "image_url", "image_url": …}`` and ``{"image_url": {"url": …}}`` are equivalent. Any other key is an error,
because the chat template would silently drop the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vqc.errors import InvalidValue
from vqc.prompts import Prompt

IMAGE_TAG = "<image>"
"""Marks the place of an image in content that is plain text (ms-swift's convention)."""

_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatTurn:
    """One turn: the prompt, its images in order (as the record gives them) and the answer."""

    prompt: Prompt
    images: tuple[object, ...]
    answer: str


def single_turn(prompt: Prompt, images: Sequence[object], answer: str) -> list[dict[str, object]]:
    """The system, user and assistant messages; images are under the key ``image``, the answer is text.

    >>> from vqc.prompts import dense_prompt
    >>> [message["role"] for message in single_turn(dense_prompt(), ["a.jpg"], "{}")]
    ['system', 'user', 'assistant']
    """
    return [
        *prompt.messages(images),
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def image_value(item: Mapping[str, object]) -> object:
    """The image of a content item: a path, an address, a data URL or bytes.

    >>> image_value({"type": "image_url", "image_url": {"url": "a.jpg"}})
    'a.jpg'

    Raises:
        InvalidValue: there is no value under the key that ``type`` names.
    """
    key = str(item.get("type"))
    value = item.get(key, item.get(key.removesuffix("_url")))
    if isinstance(value, Mapping) and "url" in value:
        value = value["url"]
    if value:
        return value
    others = sorted(name for name in item if name != "type")
    raise InvalidValue(
        "messages",
        dict(item),
        f"an item of type {key!r} has its value under the key {key!r}" + (f", not {others[0]!r}" if others else ""),
    )


def chat_turn(messages: object, images: object = ()) -> ChatTurn:
    """The turn of a record's ``messages``; ``images`` fill the ``<image>`` tags of plain text in order.

    >>> chat_turn([{"role": "user", "content": "<image>看"}, {"role": "assistant", "content": "好"}], ["a.jpg"]).images
    ('a.jpg',)

    Raises:
        InvalidValue: there is not exactly one user message and one answer, a key is wrong, the images are not adjacent,
            or the number of images differs from the number of their places.
    """
    texts = {"system": "", "assistant": ""}
    user: list[str | tuple[object]] | None = None
    for message in _single_turn(messages):
        role, parts = str(message["role"]), _parts(message.get("content"))
        if role == "user":
            user = parts
        elif any(isinstance(part, tuple) for part in parts):
            raise InvalidValue("messages", role, "only the user message may contain images")
        else:
            texts[role] = "".join(part for part in parts if isinstance(part, str))
    if user is None or not texts["assistant"]:
        raise InvalidValue("messages", messages, "a record needs one user message and one non-empty answer")
    before, after, carried = _around_images(_with_tags_filled(user, list(images) if isinstance(images, list) else []))
    prompt = Prompt(system=texts["system"], before=before, after=after)
    return ChatTurn(prompt=prompt, images=carried, answer=texts["assistant"])


def _single_turn(messages: object) -> list[Mapping[str, object]]:
    """The messages of one turn.

    Raises:
        InvalidValue: they are not one turn.
    """
    if not isinstance(messages, list) or not all(isinstance(m, dict) and m.get("role") in _ROLES for m in messages):
        raise InvalidValue("messages", messages, f"must be a list of messages with the roles {', '.join(_ROLES)}")
    roles = [message["role"] for message in messages]
    if roles not in (["system", "user", "assistant"], ["user", "assistant"]):
        raise InvalidValue("messages", roles, "a record has one turn: (system,) user, assistant")
    return messages


def _parts(content: object) -> list[str | tuple[object]]:
    """The content as a list of texts and images; an image is a tuple of one value, (None,) for an ``<image>`` tag."""
    if isinstance(content, str):
        pieces = content.split(IMAGE_TAG)
        parts: list[str | tuple[object]] = [pieces[0]]
        for piece in pieces[1:]:
            parts += [(None,), piece]
        return [part for part in parts if part]
    if not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
        raise InvalidValue("messages", content, "content must be text or a list of items with a type")
    parts = []
    for item in content:
        if item.get("type") == "text":
            if not isinstance(item.get("text"), str):
                raise InvalidValue("messages", item, "an item of type 'text' has its value under the key 'text'")
            parts.append(item["text"])
        elif item.get("type") in ("image", "image_url"):
            parts.append((image_value(item),))
        else:
            raise InvalidValue("messages", item, "the type of an item must be text, image or image_url")
    return parts


def _with_tags_filled(parts: list[str | tuple[object]], images: list[object]) -> list[str | tuple[object]]:
    waiting = sum(part == (None,) for part in parts)
    if waiting != len(images):
        valid = f"{waiting} {IMAGE_TAG} tags need as many images"
        raise InvalidValue("images", f"{len(images)} images", valid)
    supply = iter(images)
    return [(next(supply),) if part == (None,) else part for part in parts]


def _around_images(parts: list[str | tuple[object]]) -> tuple[str, str, tuple[object, ...]]:
    places = [n for n, part in enumerate(parts) if isinstance(part, tuple)]
    if not places:
        return "", "".join(str(part) for part in parts), ()
    first, last = places[0], places[-1]
    if len(places) != last - first + 1:
        raise InvalidValue(
            "messages", f"images at {places!r}", "the images of a turn must be adjacent, without text between them"
        )
    texts = ["".join(str(part) for part in group) for group in (parts[:first], parts[last + 1 :])]
    return texts[0], texts[1], tuple(part[0] for part in parts if isinstance(part, tuple))
