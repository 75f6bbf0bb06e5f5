"""What the client refuses before anything is sent, and the rarer values that it writes and reads."""

import enum
from collections import UserDict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from dealquest.errors import InputError
from dealquest.storage import all_of, any_of
from dealquest.storage.postgrest import ast
from dealquest.storage.postgrest.conditions import parse_lookups
from dealquest.storage.postgrest.dialects import DIALECTS
from dealquest.storage.postgrest.literals import as_mapping, encode_json, encode_rows
from dealquest.storage.postgrest.notation import parse_order, parse_select
from dealquest.storage.postgrest.render import render, render_filter, render_name
from dealquest.storage.postgrest.rows import decode_rows


class Shade(str, enum.Enum):  # noqa: UP042  # the older form is what users have
    DARK = "dark"


class Word(str):
    """Text of somebody's own kind."""

    __slots__ = ()


class Row(msgspec.Struct, rename={"id": "ID"}):
    id: int
    note: str | msgspec.UnsetType = msgspec.UNSET


class Tree(msgspec.Struct):
    blob: bytes
    sub: "list[Tree]" = []


def read(**shape: Any) -> object:
    return list(render(ast.Read(relation="t", **shape), DIALECTS["postgrest16"]).query)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: parse_select("...films"), "storage.notation"),
        (lambda: parse_select("price.median()"), "storage.notation"),
        (lambda: parse_select(","), "storage.notation"),
        (lambda: parse_order("a->b(c)"), "storage.notation"),
        (lambda: parse_order("a)"), "storage.notation"),
        (lambda: render_name(""), "storage.request.name"),
        (lambda: render_name("a\0b"), "storage.request.name"),
        (lambda: render_filter(ast.Filter(field=ast.Field("a"), operator="in", value="x")), "storage.request.unrenderable"),
        (lambda: render_filter(ast.Filter(field=ast.Field("a"), operator="eq", value=("x",))), "storage.request.unrenderable"),
        (lambda: render_filter(ast.Filter(field=ast.Field("a"), operator="fts", value="x", language="a)b")), "storage.request.name"),
        (lambda: read(select=(ast.Column(field=ast.Field("a"), cast="a)b"),)), "storage.request.name"),
        (lambda: read(select=(ast.Embed(relation="r", alias="x", spread=True),)), "storage.request.unrenderable"),
        (lambda: parse_lookups({"a__surely": 1}), "storage.condition"),
        (lambda: parse_lookups({"a__contains": 1}), "storage.condition"),
        (all_of, "storage.condition"),
        (any_of, "storage.condition"),
        (lambda: as_mapping(3), "storage.row.unreadable"),
        (lambda: encode_json({"a": object()}), "storage.row.unreadable"),
        (lambda: encode_rows([{"a": "\ud800"}]), "storage.value.unencodable"),
    ],
)
def test_what_cannot_be_said_is_refused_at_once(make: Callable[[], object], code: str) -> None:
    """Each mistake is an InputError with its code, and no request is made of it."""
    with pytest.raises(InputError) as caught:
        make()
    assert caught.value.code == code


def test_texts_are_looked_for_by_words() -> None:
    """`name__contains` and its kin are patterns, and `not_` turns them round."""
    (found,) = parse_lookups({"a__contains": "50%"})
    (turned,) = parse_lookups({"a__not_startswith": "x"})
    assert (render_filter(found), render_filter(turned)) == ("match.50%", "not.match.^x")  # type: ignore[arg-type]  # filters here


def test_rows_come_in_many_kinds() -> None:
    """Any mapping and a struct with renamed fields are rows; what is unset is left out."""
    assert as_mapping(UserDict(a=1, b=msgspec.UNSET)) == {"a": 1}
    assert as_mapping(Row(id=3)) == {"ID": 3}
    assert as_mapping(Row(id=3, note="x")) == {"ID": 3, "note": "x"}


def test_rarer_values_have_their_one_spelling() -> None:
    """Durations, sets, enums and texts of one's own kind are written as PostgreSQL reads them, also where the fast way would do."""
    written = encode_json({"a": timedelta(days=1, seconds=2), "b": Shade.DARK, "c": Word("x"), "d": {1}, "e": memoryview(b"\x01")})
    assert msgspec.json.decode(written) == {"a": "P1DT2.000000S", "b": "dark", "c": "x", "d": [1], "e": "\\x01"}
    assert encode_rows([{"a": "\\u0000 spelled"}]) == b'[{"a":"\\\\u0000 spelled"}]'


def test_bytes_are_found_at_any_depth_and_nulls_stay() -> None:
    """A class that holds itself is read; bytes in its first level are hex in PostgreSQL's answer; other texts are refused."""
    rows = decode_rows(b'[{"blob":"\\\\x01ff","sub":[]}]', Tree)
    assert rows == [Tree(blob=b"\x01\xff")]
    assert decode_rows(b"[null]", Tree | None) == [None]
