"""Secrets never show themselves (V4)."""

import copy
import json
import pickle
import traceback

import attrs
import pytest

from dealquest.values import Secret

CANARY = "sk-canary-0123456789"


@attrs.frozen
class Holder:
    key: Secret


def test_v4_no_rendering_of_a_secret_shows_it() -> None:
    """repr, str, format, attrs.asdict and json never print a secret's text."""
    holder = Holder(Secret(CANARY))
    shown = [
        repr(holder),
        str(holder.key),
        f"{holder.key}",
        f"{holder.key!r:>30}",
        str(attrs.asdict(holder)),
        json.dumps(attrs.asdict(holder), default=str),
    ]
    assert not any(CANARY in text for text in shown)


def test_v4_a_secret_does_not_pickle() -> None:
    """Pickling a secret fails instead of writing it down."""
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        copy.deepcopy(Secret(CANARY))


def test_v4_captured_locals_do_not_show_it() -> None:
    """A traceback that captures locals shows the mask only."""

    def fail(key: Secret) -> None:
        raise RuntimeError("boom")

    try:
        fail(Secret(CANARY))
    except RuntimeError as exc:
        text = "".join(traceback.TracebackException.from_exception(exc, capture_locals=True).format())
    assert "***" in text
    assert CANARY not in text.replace('CANARY = "sk', "")


def test_secrets_compare_by_value() -> None:
    """Equal texts are equal secrets, and a blank one is false."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert not Secret("")
