"""Which column of which table stands behind each column of a view, read from the view's rewrite rule.

PostgreSQL keeps a view as a printed query tree. Its outermost target entries carry the table and the
column they come from (`resorigtbl`, `resorigcol`), so nothing else of the tree is interpreted.
Source: PostgreSQL source, `nodes/primnodes.h`, TargetEntry (15 to 18), read 2026-11-22.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from .catalog import Name, Relationship

# A backslash escapes the next character inside a name, so an escaped brace is none.
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_ENTRY = re.compile(r":resno (\d+) .*?:resorigtbl (\d+) :resorigcol (\d+) :resjunk false", re.DOTALL)


_MAX_VARIANTS = 16


def read_target_origins(rule: str) -> dict[int, tuple[int, int]]:
    """Column number of a view to (oid of its source relation, column number there).

    >>> read_target_origins("({QUERY :a {TARGETENTRY :expr {VAR :b 1} :resno 1 :resname x :resorigtbl 9 :resorigcol 2 :resjunk false}})")
    {1: (9, 2)}
    """
    found: dict[int, tuple[int, int]] = {}
    depth, start = 0, 0
    for match in _BRACE.finditer(rule):
        brace = match.group()
        if brace == "{":
            depth += 1
            if depth == 2:
                start = match.end()
        elif brace == "}":
            if depth == 2 and rule.startswith("TARGETENTRY", start):
                # The entry's own fields follow its expression, so the last match is its own.
                entry = None
                tail = rule.rfind(":resno ", start, match.start())
                if tail >= 0:
                    entry = _ENTRY.match(rule, tail, match.start())
                if entry is not None and entry[2] != "0":
                    found[int(entry[1])] = (int(entry[2]), int(entry[3]))
            depth -= 1
    return found


def trace_origins(
    views: Mapping[int, tuple[Name, str]], relations: Mapping[int, tuple[Name, Mapping[int, str]]]
) -> dict[Name, dict[str, tuple[Name, str]]]:
    """The table column behind each view column, through views of views.

    Args:
        views: Oid to the view's name and rule.
        relations: Oid to a relation's name and its columns by number.
    """
    direct = {oid: read_target_origins(rule) for oid, (_, rule) in views.items()}
    traced: dict[Name, dict[str, tuple[Name, str]]] = {}
    for oid, (name, _) in views.items():
        columns = relations[oid][1] if oid in relations else {}
        out: dict[str, tuple[Name, str]] = {}
        for number, origin in direct[oid].items():
            table, column = origin
            seen = {oid}
            while table in direct and table not in seen:
                seen.add(table)
                table, column = direct[table].get(column, (0, 0))
            if table in relations and table not in direct and number in columns and column in relations[table][1]:
                out[columns[number]] = (relations[table][0], relations[table][1][column])
        if out:
            traced[name] = out
    return traced


def extend_through_views(links: Iterable[Relationship], traced: Mapping[Name, Mapping[str, tuple[Name, str]]]) -> list[Relationship]:
    """The relationships that views inherit from the tables under them, on either side or both."""
    shown: dict[Name, list[tuple[Name, dict[str, list[str]]]]] = {}
    for view, columns in traced.items():
        tables: dict[Name, dict[str, list[str]]] = {}
        for column, (table, source) in columns.items():
            tables.setdefault(table, {}).setdefault(source, []).append(column)
        for table, sources in tables.items():
            shown.setdefault(table, []).append((view, sources))
    found = []
    for link in links:
        here = [column for column, _ in link.columns]
        there = [column for _, column in link.columns]
        origins = [(link.origin, here, False), *_variants(shown.get(link.origin, ()), here)]
        targets = [(link.target, there, False), *_variants(shown.get(link.target, ()), there)]
        for (origin, left, from_view), (target, right, to_view) in itertools.product(origins, targets):
            if from_view or to_view:
                found.append(
                    Relationship(
                        origin=origin,
                        target=target,
                        cardinality=link.cardinality,
                        constraint=link.constraint,
                        columns=tuple(zip(left, right, strict=True)),
                        is_self=origin == target,
                        origin_is_view=from_view,
                        target_is_view=to_view,
                    )
                )
    return found


def find_view_keys(
    traced: Mapping[Name, Mapping[str, tuple[Name, str]]], keys: Mapping[Name, tuple[str, ...]]
) -> dict[Name, tuple[str, ...]]:
    """The primary keys that views show whole."""
    found: dict[Name, tuple[str, ...]] = {}
    for view, columns in traced.items():
        first: dict[tuple[Name, str], str] = {}
        for column, source in columns.items():
            first.setdefault(source, column)
        for table in dict.fromkeys(table for table, _ in columns.values()):
            key = keys.get(table, ())
            if key and all((table, column) in first for column in key):
                found[view] = found.get(view, ()) + tuple(first[table, column] for column in key)
    return found


def _variants(shown: Iterable[tuple[Name, dict[str, list[str]]]], columns: Sequence[str]) -> list[tuple[Name, list[str], bool]]:
    """Each way in which a view shows all of these columns; a column may be shown more than once."""
    out: list[tuple[Name, list[str], bool]] = []
    for view, sources in shown:
        if all(column in sources for column in columns):
            choices = itertools.product(*(sources[column] for column in columns))
            out.extend((view, list(choice), True) for choice in itertools.islice(choices, _MAX_VARIANTS))
    return out
