"""Messages go out no faster than Telegram allows."""

from hypothesis import given
from hypothesis import strategies as st

from dealquest_telegram.pace import Pace


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 0.5)), max_size=200))
def test_both_rates_are_kept(calls: list[tuple[str, float]]) -> None:
    """In no window are there more messages than the rates and the bursts allow."""
    pace, now = Pace(per_second=10, per_chat_second=1, chat_burst=3), 0.0
    sent: list[tuple[str, float]] = []
    for chat, pause_s in calls:
        now += pause_s
        sent.append((chat, now + pace.wait_s(chat, now=now)))
    for chat, moment in sent:
        window = [at for other, at in sent if other == chat and moment <= at < moment + 5 - 1e-6]
        assert len(window) <= 5 + 3
        overall = [at for _, at in sent if moment <= at < moment + 1 - 1e-6]
        assert len(overall) <= 10 + 10


def test_a_hold_keeps_a_chat_waiting_and_no_other() -> None:
    """What Telegram asked for is waited out in full."""
    pace = Pace(per_second=100, per_chat_second=1, chat_burst=5)
    pace.hold("a", until=30.0)
    assert pace.wait_s("a", now=0.0) >= 30.0
    assert pace.wait_s("b", now=0.0) == 0.0
