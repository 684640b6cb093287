"""The table of what Redis answers covers what the client raises, and an answer that no one has listed is a refusal too."""

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import DataError, ResponseError

from service.platform.errors import QueueUnavailable
from service.platform.redis_answers import ANSWERS, CONNECTION, TIMEOUT, code_of, unavailable
from service.platform.redis_client import answering

_REDIRECTED = {"MOVED": "MOVED 3999 127.0.0.1:6381", "ASK": "ASK 3999 127.0.0.1:6381"}
_UNANSWERED = {TIMEOUT: TimeoutError(), CONNECTION: ConnectionResetError("reset by peer")}


def error_of(code: str) -> Exception:
    """What the client raises for an answer."""
    return _UNANSWERED.get(code) or BaseParser.parse_error(_REDIRECTED.get(code, f"{code} of the server"))


@pytest.mark.parametrize("code", ANSWERS)
def test_every_answer_becomes_the_same_error_with_its_reason(code):
    with pytest.raises(QueueUnavailable) as raised, answering():
        raise error_of(code)
    assert (raised.value.code, raised.value.retry_after_s) == (code, ANSWERS[code].retry_after_s)
    assert ANSWERS[code].meaning in str(raised.value)


def test_an_answer_inside_a_pipeline_keeps_its_code():
    error = ResponseError("Command # 1 (ZADD a 0 b) of pipeline caused error: NOREPLICAS Not enough good replicas")
    assert code_of(error) == "NOREPLICAS"


@pytest.mark.parametrize(
    "text", ["ERR unknown command 'XADD'", "FUTURE something new", "ERR max number of clients reached"]
)
def test_an_answer_that_no_one_has_listed_is_a_refusal_too(text):
    assert unavailable(BaseParser.parse_error(text)).retry_after_s > 0
    with pytest.raises(QueueUnavailable), answering():
        raise BaseParser.parse_error(text)


def test_a_call_that_could_never_be_sent_is_a_defect_and_not_the_servers():
    with pytest.raises(DataError), answering():
        raise DataError("Invalid input of type: 'dict'")
