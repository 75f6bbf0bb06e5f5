"""Texts become messages that the Bot API takes, and nothing is lost (B5)."""

from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.dialogue import Span, Style, Text
from dealquest_telegram.render import MAX_ENTITIES, MAX_TEXT, Part, Stretch, render, untangle
from dealquest_telegram.testing.entities import check_entities, trim, units

STYLES: tuple[Style, ...] = ("bold", "italic", "code", "pre", "quote", "link")
CHARACTERS = st.sampled_from(
    [
        *"ab \n\t.",
        "\n\n",
        "é",
        "e\u0301",
        "😀",
        "👩\u200d👩\u200d👧",
        "👍🏽",
        "🇩🇪",
        "한",
        "\u00a0",
        "\ud83d",
        "\0",
        "\u202e",
        "&",
        "<b>",
        "_",
    ]
)


def span(style: Style, start: int, end: int, url: str | None = None) -> Span:
    return Span(style=style, offset=start, length=end - start, url=url)


@st.composite
def texts(draw: st.DrawFn) -> Text:
    """Texts of all sorts of characters with spans that may cross, repeat and overhang."""
    plain = "".join(draw(st.lists(CHARACTERS, max_size=300)))
    ends = st.integers(min_value=-3, max_value=len(plain) + 3)
    spans = draw(st.lists(st.tuples(st.sampled_from(STYLES), ends, ends), max_size=12))
    return Text(plain, tuple(span(style, min(a, b), max(a, b), url="https://example.test/") for style, a, b in spans))


def without_blanks(text: str) -> str:
    return "".join("".join("\ufffd" if "\ud800" <= mark <= "\udfff" else mark for mark in text).split())


@given(texts(), st.integers(min_value=64, max_value=200))
def test_no_character_is_lost_or_moved(text: Text, limit: int) -> None:
    """The parts, put together, are the text but for blanks at the cuts."""
    assert without_blanks("".join(part.text for part in render(text, limit=limit))) == without_blanks(text.plain)


@given(texts(), st.integers(min_value=64, max_value=200))
def test_b5_every_part_is_taken_by_the_server_unchanged(text: Text, limit: int) -> None:
    """No part is too long, blank, trimmed by the server or refused for its entities."""
    for part in render(text, limit=limit):
        entities = [dict(entity) for entity in part.entities]
        assert 1 <= units(part.text) <= limit
        assert len(entities) <= MAX_ENTITIES
        check_entities(part.text, entities)
        assert trim(part.text, entities)[0] == part.text


@given(texts())
def test_entities_are_nested_or_apart(text: Text) -> None:
    """No two entities cross, and nothing stands inside code."""
    for part in render(text, limit=64):
        for a in part.entities:
            for b in part.entities:
                a_end, b_end = a["offset"] + a["length"], b["offset"] + b["length"]
                assert not (a["offset"] < b["offset"] < a_end < b_end)
                common = a is not b and max(a["offset"], b["offset"]) < min(a_end, b_end)
                assert not common or a["type"] not in {"code", "pre"} or b["type"] == "blockquote"
                assert not common or a["type"] != b["type"]


@given(texts())
def test_every_visible_character_keeps_its_formatting(text: Text) -> None:
    """Splitting changes no character's set of formats."""
    whole = render(text, limit=10**9)
    split = render(text, limit=64)
    assert _formats(whole) == _formats(split)


def _formats(parts: list[Part]) -> list[tuple[str, tuple[str, ...]]]:
    found = []
    for part in parts:
        place = 0
        for mark in part.text:
            kinds = sorted(entity["type"] for entity in part.entities if entity["offset"] <= place < entity["offset"] + entity["length"])
            place += units(mark)
            if not mark.isspace():
                found.append((mark, tuple(kinds)))
    return found


def test_a_long_advice_arrives_whole() -> None:
    """100 kB of words with nested entities become parts at paragraphs, all within the limits."""
    paragraph = "Ask a question about the budget, then wait. " * 20
    plain = "\n\n".join([paragraph.strip()] * 115)
    spans = [span(style, start, start + 60) for start in range(0, len(plain), 300) for style in STYLES[:2]]
    parts = render(Text(plain, (*spans, span("quote", 500, 90_000))))
    assert len(plain) > 100_000
    assert "\n\n".join(part.text for part in parts) == plain
    assert all(units(part.text) <= MAX_TEXT and len(part.entities) <= MAX_ENTITIES for part in parts)
    assert sum(any(entity["type"] == "blockquote" for entity in part.entities) for part in parts) > 20


def test_a_cut_respects_clusters() -> None:
    """Emoji families, flags, skin tones and combining marks are not torn apart at a cut."""
    for cluster in ("👩\u200d👩\u200d👧", "🇩🇪", "👍🏽", "e\u0301", "❤\ufe0f"):
        for lead in range(4):
            parts = render(Text("x" * lead + cluster * 60), limit=64)
            assert all(part.text.removeprefix("x" * lead).replace(cluster, "") == "" for part in parts)


def test_paragraph_before_line_before_word() -> None:
    """A part ends at the best place that fills at least a quarter of it."""
    text = "a" * 30 + "\n\n" + "b" * 20 + "\n" + "c" * 5 + " " + "d" * 40
    assert [part.text for part in render(Text(text), limit=64)] == ["a" * 30, "b" * 20, "c" * 5 + " " + "d" * 40]


def test_blank_text_is_no_message() -> None:
    """Nothing but blanks gives no part at all."""
    assert render(Text(" \n\t ")) == []


def test_b5_links_lead_to_the_web_only() -> None:
    """Addresses that act inside the app are sent as plain words."""
    for target in ("tg://user?id=1", "javascript:alert(1)", "", "https://", "http://a b"):
        assert render(Text("here", (span("link", 0, 4, url=target),)))[0].entities == ()


def test_indentation_in_code_blocks_survives_a_cut() -> None:
    """A code block that is split keeps the blanks its lines begin with."""
    plain = "\n".join(f"    line {number}" for number in range(20))
    parts = render(Text(plain, (span("pre", 0, len(plain)),)), limit=64)
    assert "\n".join(part.text for part in parts) == plain
    assert all(part.entities[0]["type"] == "pre" for part in parts)


def test_untangle_keeps_separate_spans_separate() -> None:
    """Two code blocks side by side stay two."""
    spans = [Stretch("pre", 0, 2), Stretch("pre", 2, 4)]
    assert untangle(spans, 4) == spans
