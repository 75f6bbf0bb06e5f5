"""Texts as data: what is filled in stays plain, and offsets always fit."""

from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.dialogue import Text, catalogue, fill, join, styled
from dealquest.coach.dialogue.catalogue import _templates

pieces = st.recursive(
    st.builds(styled, st.text(max_size=20), st.sampled_from(["bold", "italic", "code"])),
    lambda inner: st.builds(lambda a, b: a + b, inner, inner),
    max_leaves=6,
)


@given(value=st.text(max_size=60))
def test_b5_a_value_never_becomes_markup(value: str) -> None:
    """Whatever a user or a model wrote is in the text as it is, with no style of its own."""
    text = fill("*{name}* says `{value}` and {value}", {"name": "Ann", "value": value})
    assert text.plain == f"Ann says {value} and {value}"
    assert all(span.style in {"bold", "code"} for span in text.spans)
    assert len(text.spans) <= 2


@given(first=pieces, second=pieces)
def test_joining_keeps_every_span_on_its_own_words(first: Text, second: Text) -> None:
    """After `+` each span covers the same characters as before."""
    both = first + second
    covered = [both.plain[span.offset : span.offset + span.length] for span in both.spans]
    assert covered == [part.plain[span.offset : span.offset + span.length] for part in (first, second) for span in part.spans]


def test_empty_parts_leave_no_blank_lines() -> None:
    """`join` skips what is empty."""
    assert join(["a", "", Text(), "b"], "\n\n").plain == "a\n\nb"


def test_every_template_of_the_catalogue_can_be_filled() -> None:
    """No sentence has a broken slot or markup left over."""
    import re

    for key, template in _templates("en").items():
        slots = dict.fromkeys(re.findall(r"\{([a-z_]+)\}", template), "x")
        plain = catalogue("en").say(key, **slots).plain
        assert "{" not in plain, key
        assert "*" not in plain, key


def test_an_unknown_language_speaks_english() -> None:
    """No language tag, however odd, makes the catalogue fail."""
    for tag in ("xx", "../../etc", "", "EN-gb", "zz-ZZ-zz"):
        assert catalogue(tag).say("cancel.nothing").plain == "Nothing is open."
