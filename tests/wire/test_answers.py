"""An answer's body as JSON: one error for everything that is none, however strange."""

import pytest

from dealquest.errors import PeerGarbledError
from dealquest.wire import HttpResponse


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"a":', b'"\xff\xfe"', b"[" * 100_000], ids=["empty", "HTML", "cut", "not UTF-8", "deep"]
)
def test_u3_a_body_that_is_no_json_is_one_error(body: bytes) -> None:
    """Empty, HTML, cut, wrongly encoded and endlessly nested bodies are `wire.not_json`."""
    with pytest.raises(PeerGarbledError) as caught:
        HttpResponse(status=200, body=body).json()
    assert caught.value.code == "wire.not_json"
