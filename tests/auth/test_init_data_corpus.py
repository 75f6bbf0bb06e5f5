"""The differential corpus: our verdict, the oracle's and the one written down are the same."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from init_data_corpus import BASE, NOW, ONE, THIRD, Vector, by_telegram, signed, spell, vectors
from init_data_oracle import OracleBots, judge

from dealquest.auth import BotKey, BotPublicKey, verify_init_data, verify_login_widget
from dealquest.errors import DeniedError
from dealquest.values import Secret

CORPUS = vectors()


def verdict(raw: str, bots: OracleBots) -> str:
    keys = [BotKey.from_token(Secret(token)) for token in bots.tokens]
    try:
        if bots.widget:
            verify_login_widget(raw, keys, now=datetime.fromtimestamp(NOW, UTC))
        else:
            verify_init_data(raw, [*keys, *(BotPublicKey(*pair) for pair in bots.public)], now=datetime.fromtimestamp(NOW, UTC))
    except DeniedError as error:
        return error.code.removeprefix("auth.init_data.")
    return "ok"


def test_the_corpus_is_large_enough() -> None:
    """It holds at least 160 vectors, and refusals outweigh acceptances."""
    assert len(CORPUS) >= 160
    assert sum(vector.verdict == "ok" for vector in CORPUS) >= 40


@pytest.mark.parametrize("vector", CORPUS, ids=lambda vector: vector.name)
def test_verdict(vector: Vector) -> None:
    """The verifier, the oracle and the written verdict agree."""
    assert (verdict(vector.raw, vector.bots), judge(vector.raw, vector.bots, NOW)) == (vector.verdict, vector.verdict)


def mutations(raw: str) -> st.SearchStrategy[str]:
    position = st.integers(0, len(raw))
    character = st.sampled_from('aA0=&%+-_.~;\n\r\0 "{}[]:,é😀7f') | st.characters()
    return st.one_of(
        st.tuples(position, character).map(lambda change: raw[: change[0]] + change[1] + raw[change[0] :]),
        st.tuples(position, character).map(lambda change: raw[: change[0]] + change[1] + raw[change[0] + 1 :]),
        st.tuples(position, position).map(lambda cut: raw[: min(cut)] + raw[max(cut) :]),
        st.permutations(raw.split("&")).map("&".join),
        st.tuples(position, position, position).map(lambda cut: raw[: cut[0]] + raw[min(cut[1:]) : max(cut[1:])] + raw[cut[0] :]),
    )


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(raw=mutations(signed()) | mutations(spell(by_telegram())) | mutations(signed({"user": '{"id":7,"first_name":"😀","x":[1.5]}'})))
def test_mutated_strings_have_one_verdict(raw: str) -> None:
    """However a signed string is changed, verifier and oracle agree, in each mode."""
    for bots in (ONE, THIRD):
        assert verdict(raw, bots) == judge(raw, bots, NOW)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


# The first draw of any text builds Unicode tables, which takes longer than the health check allows.
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    fields=st.dictionaries(
        st.sampled_from(["user", "receiver", "chat", "can_send_after", "auth_date", "signature", "x", "x-1", "x1", "X", "start_param"]),
        st.text(max_size=30)
        | st.fixed_dictionaries({"id": JSON_VALUE}, optional={"type": JSON_VALUE, "is_bot": JSON_VALUE, "username": JSON_VALUE}).map(
            json.dumps
        ),
    )
)
def test_signed_strings_have_one_verdict(fields: dict[str, str]) -> None:
    """Whatever Telegram might sign, verifier and oracle agree."""
    raw = signed({**BASE, **fields})
    assert verdict(raw, ONE) == judge(raw, ONE, NOW)
