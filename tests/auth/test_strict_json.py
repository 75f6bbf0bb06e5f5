"""One JSON object with one meaning."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dealquest.auth.strict_json import parse_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first text builds Unicode tables
@given(values=st.dictionaries(st.text(), VALUES, max_size=4), ascii_only=st.booleans())
def test_what_json_writes_is_read(values: dict[str, object], ascii_only: bool) -> None:
    """Every object comes back, escaped or not."""
    assert parse_object(json.dumps(values, ensure_ascii=ascii_only)) == values


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"a":1,"a":1}', "a name appears twice"),
        ('{"x":[{"a":1,"\\u0061":2}]}', "a name appears twice"),
        ('{"a":NaN}', "NaN is not JSON"),
        ('{"a":-Infinity}', "-Infinity is not JSON"),
        ('{"a":1e999}', "the number is too large"),
    ],
)
def test_two_readings_are_none(text: str, cause: str) -> None:
    """Repeated names and numbers that JSON does not know are refused, and the cause says which."""
    with pytest.raises(ValueError, match=r"^not strict JSON$") as caught:
        parse_object(text)
    assert str(caught.value.__cause__) == cause


@pytest.mark.parametrize(
    "text", ["", "{", "{}x", '{"a":"\\ud800"}', '{"a":"\\uDFFF"}', '{"a":"\n"}', "[" * 9999, '{"a":' + "9" * 5000 + "}"]
)
def test_broken_texts_are_refused(text: str) -> None:
    """Whatever is wrong with a text, the error is one."""
    with pytest.raises(ValueError, match=r"^not strict JSON$"):
        parse_object(text)


@pytest.mark.parametrize("text", ["[]", "null", "1", '"{}"', "true"])
def test_other_values_are_no_objects(text: str) -> None:
    """Only an object is read."""
    with pytest.raises(ValueError, match=r"^not an object$"):
        parse_object(text)
