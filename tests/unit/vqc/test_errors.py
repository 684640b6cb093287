"""Errors carry data, also from one process to another."""

import pickle

import pytest

from engine.errors import EngineOverloaded
from service.platform.errors import BodyTooLarge
from vqc.errors import InvalidValue, PhotoReason, PhotoRejected, UnknownMission


@pytest.mark.parametrize(
    "error",
    [
        InvalidValue("top_p", 3, "valid: 0 to 1"),
        UnknownMission("x", ["a", "b"]),
        PhotoRejected(PhotoReason.EMPTY, "0 bytes", "send a photo"),
        EngineOverloaded("full", 7),
        BodyTooLarge(3, 2),
    ],
)
def test_an_error_survives_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_a_message_names_field_value_and_what_is_valid_and_stays_short():
    message = str(InvalidValue("photo", "x" * 10_000, "must be a photo"))
    assert message.startswith("photo: 'xxx")
    assert message.endswith("must be a photo")
    assert len(message) < 200
