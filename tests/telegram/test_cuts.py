"""Where a long text is cut: never inside of what a reader sees as one character, and never above so many entities."""

import pytest

from dealquest.coach.dialogue import Span, Text
from dealquest_telegram.render import LONGEST_CLUSTER, render


def test_a_part_holds_so_many_entities_and_no_more() -> None:
    """A text with very many styles becomes several parts, and each style is in exactly one of them."""
    plain = "ab " * 30
    spans = tuple(Span(style="bold", offset=3 * number, length=2) for number in range(30))
    parts = render(Text(plain, spans), most_entities=7)
    assert "".join(part.text for part in parts).replace(" ", "") == "ab" * 30
    assert max(len(part.entities) for part in parts) <= 7
    assert sum(len(part.entities) for part in parts) == 30


@pytest.mark.parametrize(
    "cluster",
    ["e\u0301", "\U0001f44b\U0001f3fd", "\U0001f469\u200d\U0001f4bb", "\U0001f1e9\U0001f1ea", "\u1112\u1161", "\r\n"],
    ids=["accent", "skin", "joined", "flag", "syllable", "line end"],
)
def test_one_character_stays_whole(cluster: str) -> None:
    """What is drawn as one character is in one part, wherever the limit falls."""
    for lead in range(6):
        parts = render(Text("x" * (14 + lead) + cluster + "y" * 20), limit=20)
        joined = "".join(part.text for part in parts)
        assert joined == "x" * (14 + lead) + cluster + "y" * 20 or cluster == "\r\n"
        assert any(cluster.strip() in part.text for part in parts)


def test_a_cluster_without_an_end_is_cut_all_the_same() -> None:
    """A letter under more marks than anybody reads takes no part beyond the limit."""
    text = "x" + "\u0301" * (5 * LONGEST_CLUSTER)
    parts = render(Text(text), limit=100)
    assert "".join(part.text for part in parts) == text
    assert max(len(part.text) for part in parts) <= 100
