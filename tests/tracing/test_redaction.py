"""No seeded secret reaches a row: by key, by pattern, by exact text, in names, errors and after truncation (G1, V4)."""

import json
import time
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest.testing import CapturedTraces
from dealquest.tracing import MemoryRecorder, Redactor, Tracer, installed_tracer, span, trace, traced_span
from dealquest.tracing.capture import copy_content, describe_shape
from dealquest.tracing.redact import names_secret
from dealquest.values import Secret

OWN = 'own"secret\\ with spaces and ü'
SECRETS = [
    "sk-proj-abcdEFGH1234abcdEFGH",
    "sk-ant-api03-AAAABBBBCCCCDDDD",
    "ik_0123456789abcdef0123",
    "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawX",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyIn0.c2lnbmF0dXJlc2lnbmF0dXJl",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "hunter2hunter2@",
    OWN,
]
CANARIES = [secret.removesuffix("@") for secret in SECRETS]


def assert_clean(recorder: MemoryRecorder) -> None:
    for record in recorder.records:
        text = record.body.decode()
        for canary in CANARIES:
            assert canary not in text
            assert json.dumps(canary)[1:-1] not in text
            assert json.dumps(canary, ensure_ascii=False)[1:-1] not in text


def recorder_with_own_secret() -> MemoryRecorder:
    return MemoryRecorder(redactor=Redactor([Secret(OWN)]))


@pytest.mark.parametrize("secret", SECRETS)
def test_g1_no_secret_in_any_part_of_a_row(secret: str) -> None:
    """Names, attributes, arguments, results, error messages and trace attributes hold no seeded secret."""
    text = f"https://user:{secret}host/x" if secret.endswith("@") else f"before {secret} after"
    recorder = recorder_with_own_secret()

    @traced_span("call")
    def call(argument: object, *, options: object) -> object:
        return {"echo": [argument, options]}

    with installed_tracer(Tracer(recorder, capture="content", keep_stacks=True)), trace(f"run {text}", note=text):
        with span(f"name {text}", **{f"key {text}": 1, "plain": text, "deep": {"a": [text, {"b": text}]}}):
            call(text, options={"headers": [("authorization", "opaque"), ("x", text)]})
        with pytest.raises(RuntimeError), span("fails"):
            raise RuntimeError(text)
    assert len(recorder.spans) == 4
    assert_clean(recorder)
    assert "[redacted: " in recorder.spans[1].span_name


@pytest.mark.parametrize("key", ["api_key", "X-Api-Key", "password", "accessToken", "Authorization", "client_secret", "Set-Cookie", "dsn"])
def test_g1_values_under_secret_names_go(captured_traces: CapturedTraces, key: str) -> None:
    """A value under a name that says secret is replaced whatever it looks like."""
    with span("step", headers={key: "opaque-value-9"}, pairs=[[key, "opaque-value-9"]], **{key: "opaque-value-9"}):
        pass
    assert b"opaque-value-9" not in captured_traces.records[-2].body
    assert b"opaque-value-9" not in captured_traces.records[0].body


def test_counts_of_tokens_stay() -> None:
    """Token counts are no tokens."""
    assert not names_secret("max_tokens")
    assert not names_secret("gen_ai.usage.input_tokens")
    redactor = Redactor()
    assert redactor.clean({"input_tokens": 5, "tokens": [1]}) == {"input_tokens": 5, "tokens": [1]}


@pytest.mark.parametrize(
    "text", ["a basic understanding of pricing", "the token economy", "key insight: listen first", "11:30-12:00 meeting"]
)
def test_prose_stays(text: str) -> None:
    """Ordinary sentences are not mistaken for secrets."""
    assert Redactor().clean_text(text) == text


def test_g1_redaction_comes_before_truncation() -> None:
    """A key that lies across the cut leaves no half behind."""
    recorder = recorder_with_own_secret()
    with installed_tracer(Tracer(recorder, capture="content")):
        for offset in range(0, 60, 7):
            with span("step") as step:
                step.set_input("x" * (8 * 1024 - offset) + " sk-proj-abcdEFGH1234abcdEFGH1234 " + "y" * 20_000)
            with span("n" * (200 - offset % 30) + " sk-proj-abcdEFGH1234abcdEFGH1234 " + "m" * 5000):
                pass
            with pytest.raises(ValueError, match="x"), span("fails"):
                raise ValueError("x" * (2000 - offset) + " sk-proj-abcdEFGH1234abcdEFGH1234 " + "y" * 9000)
    for record in recorder.records:
        assert b"abcdEFGH" not in record.body
        assert b"sk-proj" not in record.body
        assert len(record.body) < 32 * 1024
    assert max(len(row.span_name) for row in recorder.spans) <= 201
    assert max(len(row.error or "") for row in recorder.spans) <= 2001


def test_v4_a_captured_secret_value_shows_a_mask(captured_traces: CapturedTraces) -> None:
    """A `Secret` among arguments is three stars, and fields without repr stay out."""

    @attrs.frozen
    class Account:
        name: str
        key: str = attrs.field(repr=False)

    @traced_span("open")
    def open_account(account: Account, held: Secret) -> None:
        return None

    open_account(Account("ann", "canary-of-a-hidden-field"), Secret("canary-of-a-secret"))
    assert captured_traces.span("open").input_data == {"account": {"name": "ann"}, "held": "***"}
    assert b"canary" not in captured_traces.records[1].body


def test_v4_the_redactor_shows_none_of_its_secrets() -> None:
    """Neither repr nor vars of a redactor hold what it looks for."""
    redactor = Redactor([Secret("canary-0123456789")])
    assert "canary" not in repr(vars(redactor)) + repr(redactor)


@given(
    prefix=st.text(max_size=40),
    suffix=st.text(max_size=40),
    secret=st.sampled_from(SECRETS[:4]),
    wrap=st.sampled_from(["text", "list", "dict", "pair", "key"]),
)
@settings(max_examples=150, deadline=None)
def test_g1_the_quick_look_never_misses(prefix: str, suffix: str, secret: str, wrap: str) -> None:
    """Whatever stands around a secret, and wherever, the row is sent the slow way and comes out clean."""
    text = f"{prefix} {secret} {suffix}"
    value: Any = {"text": text, "list": [[text]], "dict": {"a": {"b": text}}, "pair": ["name", text], "key": {text: 1}}[wrap]
    redactor = Redactor()
    assert redactor.suspects(value)
    assert secret not in json.dumps(redactor.clean(value), ensure_ascii=False)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(json_like)
@settings(deadline=None)
def test_cleaning_twice_is_cleaning_once(value: Any) -> None:
    """What is clean stays as it is."""
    redactor = Redactor()
    once = redactor.clean(value)
    assert redactor.clean(once) == once


@given(st.text(alphabet="abcs-k_=:/.eyJBearer 0123456789\n", max_size=3000))
@settings(max_examples=50, deadline=None)
def test_hostile_text_is_cleaned_in_time(text: str) -> None:
    """No text makes a pattern run away."""
    start = time.process_time()
    Redactor().clean_text(text * 3)
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    "text", ["a-" * 50_000, "://" * 30_000, "eyJ" * 30_000, "token " * 20_000, "1" * 100_000, "-----BEGIN " * 9000, "bearer " * 9000]
)
def test_long_hostile_text_is_cleaned_in_time(text: str) -> None:
    """The patterns are linear: 100 kB of near misses stay far below a second."""
    start = time.process_time()
    Redactor().clean_text(text)
    assert time.process_time() - start < 1.0


leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=20)
branches = leaves | st.lists(leaves, max_size=4) | st.dictionaries(st.text(max_size=8), leaves, max_size=4)


@given(branches | st.lists(branches, max_size=4) | st.dictionaries(st.text(max_size=8), branches, max_size=4))
@settings(deadline=None)
def test_captured_content_is_json_and_small_values_stay(value: Any) -> None:
    """The walk's copy encodes as JSON, and reads back as what it was taken of."""
    assert json.loads(json.dumps(copy_content(value))) == value


def test_a_large_argument_costs_microseconds_and_a_bounded_row(captured_traces: CapturedTraces) -> None:
    """Five megabytes of argument leave at most 32 kB, and depth and item limits hold."""
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]

    @traced_span("big")
    def big(text: str, deep: object, many: object, blob: bytes) -> None:
        return None

    big("z" * 5_000_000, deep, list(range(1_000_000)), b"x" * 1_000_000)
    body = captured_traces.records[1].body
    assert len(body) <= 32 * 1024
    assert captured_traces.span("big").input_data["blob"] == "<bytes[1000000]>"


def test_shapes_hold_no_content() -> None:
    """The default level says what kind of thing came in, and how large."""
    recorder = MemoryRecorder()

    @traced_span("ask")
    def ask(question: str, history: list[str]) -> str:
        return "the answer"

    with installed_tracer(Tracer(recorder)):
        ask("why?", ["a", "b"])
    found = recorder.spans[0]
    assert found.input_data == {"question": "str[4]", "history": "list[2]"}
    assert found.output_data == "str[10]"
    assert describe_shape(None) == "None"


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**80,
        -(2**70),
        "\ud800",
        "nul\x00nul",
        r"a literal \u0000",
        "\x00" + "long" * 9000,
        {1: "x"},
        {"a": object()},
        b"x",
        {"s": {1, 2}},
    ],
)
def test_odd_values_never_cost_a_span(captured_traces: CapturedTraces, value: object) -> None:
    """Values that JSON or PostgreSQL cannot hold are mended, not refused."""
    with span("odd", value=value):
        pass
    row = json.loads(captured_traces.records[1].body)
    assert row["span_name"] == "odd"
    assert "\x00" not in str(row["attributes"]["value"])
