"""Which relationship an embed means: by table, foreign key, column, junction or function.

Source: https://docs.postgrest.org/en/latest/references/api/resource_embedding.html, read 2026-11-22.
"""

from collections.abc import Sequence

from dealquest.storage.postgrest.ast import Embed

from .catalog import Cardinality, Catalog, Name, Pairs, Relationship
from .errors import refuse
from .fuzzy import find_nearest

_ORDER = {Cardinality.ONE_TO_MANY: 0, Cardinality.MANY_TO_ONE: 1, Cardinality.ONE_TO_ONE: 1, Cardinality.MANY_TO_MANY: 2}


def find_relationship(catalog: Catalog, origin: Name, embed: Embed, *, schema: str) -> Relationship:
    """Pick the one relationship from `origin` that the embed names.

    Raises:
        InputError: PGRST200 when there is none, PGRST201 when there are several.
    """
    known = catalog.relationships.get(origin, ())
    target, hint = embed.relation, embed.hint
    computed = [link for link in known if link.function is not None and link.function.name == target and (hint is None or hint == target)]
    if computed:
        return computed[0]
    found = [
        link
        for link in known
        if link.function is None
        and link.target.schema == schema
        and (_is_named(link, target) if hint is None else link.target.name == target and _is_hinted(link, hint))
    ]
    if not found:
        raise _unknown(catalog, origin, embed, schema)
    if len(found) > 1:
        raise _ambiguous(origin, target, sorted(found, key=lambda link: _ORDER[link.cardinality]))
    return found[0]


def _is_named(link: Relationship, target: str) -> bool:
    if link.is_self and link.cardinality is not Cardinality.MANY_TO_MANY:
        # One key gives both directions: its column names the parent, the table the children.
        if link.cardinality is Cardinality.ONE_TO_MANY:
            return link.target.name == target
        return link.constraint == target or _is_column(link, target)
    if link.target.name == target:
        return True
    return not link.target_is_view and (
        (link.constraint == target and link.cardinality is not Cardinality.MANY_TO_MANY and target != "") or _is_column(link, target)
    )


def _is_column(link: Relationship, name: str) -> bool:
    """The single column of the key on the origin's side, towards one row."""
    return link.cardinality.to_one and len(link.columns) == 1 and link.columns[0][0] == name


def _is_hinted(link: Relationship, hint: str) -> bool:
    if link.junction is not None:
        return link.junction.table.name == hint
    if link.constraint == hint:
        return True
    if len(link.columns) != 1:
        return False
    here, there = link.columns[0]
    if link.is_self:
        # The key's own column means the children, the column it points to the parent.
        return (link.cardinality is Cardinality.ONE_TO_MANY and there == hint) or (link.cardinality.to_one and there == hint)
    return hint in {here, there}


def _unknown(catalog: Catalog, origin: Name, embed: Embed, schema: str) -> Exception:
    named = f" using the hint '{embed.hint}'" if embed.hint else ""
    known = catalog.relationships.get(origin)
    targets = {link.target.name for link in known or () if link.target.schema == schema}
    hint = None
    if not targets and known != ():
        related = (name.name for name, links in catalog.relationships.items() if any(link.target.schema == schema for link in links))
        near = find_nearest(origin.name, related)
        hint = f"Perhaps you meant '{near}' instead of '{origin.name}'." if near else None
    elif embed.relation not in targets and (near := find_nearest(embed.relation, targets)) is not None:
        hint = f"Perhaps you meant '{near}' instead of '{embed.relation}'."
    return refuse(
        "PGRST200",
        f"Could not find a relationship between '{origin.name}' and '{embed.relation}' in the schema cache",
        details=f"Searched for a foreign key relationship between '{origin.name}' and '{embed.relation}'{named}"
        f" in the schema '{schema}', but no matches were found.",
        hint=hint,
    )


def _ambiguous(origin: Name, target: str, found: Sequence[Relationship]) -> Exception:
    choices = ", ".join(f"'{target}!{_hint_of(link)}'" for link in found)
    return refuse(
        "PGRST201",
        f"Could not embed because more than one relationship was found for '{origin.name}' and '{target}'",
        details=[
            {
                "cardinality": link.cardinality.value,
                "embedding": f"{origin.name} with {link.target.name}",
                "relationship": _describe(link),
            }
            for link in found
        ],
        hint=f"Try changing '{target}' to one of the following: {choices}. Find the desired relationship in the 'details' key.",
    )


def _hint_of(link: Relationship) -> str:
    return link.constraint if link.junction is None else link.junction.table.name


def _describe(link: Relationship) -> str:
    if link.junction is None:
        return (
            f"{link.constraint} using {link.origin.name}({_columns(link.columns, 0)}) and {link.target.name}({_columns(link.columns, 1)})"
        )
    there = link.junction
    here_key = f"{there.here_constraint}({_columns(there.here, 1)})"
    there_key = f"{there.there_constraint}({_columns(there.there, 1)})"
    return f"{there.table.name} using {here_key} and {there_key}"


def _columns(pairs: Pairs, side: int) -> str:
    return ", ".join(pair[side] for pair in pairs)
