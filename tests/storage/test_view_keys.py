"""Keys through views are read from PostgreSQL's own query trees; whatever else stands there is passed over."""

from dealquest.storage.engine.catalog import Cardinality, Name, Relationship
from dealquest.storage.engine.view_keys import extend_through_views, find_view_keys, read_target_origins, trace_origins

TABLE, OTHER, VIEW, TOP = (Name("app", name) for name in ("people", "cities", "shown", "top"))


def entry(number: int, table: int, column: int, name: str = "x") -> str:
    """One output column, as a rule prints it."""
    return f"{{TARGETENTRY :expr {{VAR :varno 1}} :resno {number} :resname {name} :resorigtbl {table} :resorigcol {column} :resjunk false}}"


def rule(*entries: str) -> str:
    return f"({{QUERY :targetList ({' '.join(entries)})}})"


def test_braces_inside_names_are_no_braces() -> None:
    """A brace in a column's name is escaped; an entry without an origin, or without a number, gives nothing."""
    odd = rule(entry(1, 9, 2, r"a\}b\{"), entry(2, 0, 0), "{TARGETENTRY :expr {VAR :varno 1}}", "{SORTCLAUSE :x 1}")
    assert read_target_origins(odd) == {1: (9, 2)}


def test_columns_are_traced_through_views_of_views() -> None:
    """A view of a view shows the table's column; one that leads in a circle, to nothing, or to a dropped column shows none."""
    relations = {
        1: (TABLE, {1: "id", 2: "name"}),
        2: (VIEW, {1: "who", 2: "gone"}),
        3: (TOP, {1: "person", 2: "lost"}),
        4: (Name("app", "a"), {1: "a"}),
        5: (Name("app", "b"), {1: "b"}),
    }
    views = {
        2: (VIEW, rule(entry(1, 1, 1), entry(2, 1, 7))),
        3: (TOP, rule(entry(1, 2, 1), entry(2, 2, 9), entry(3, 77, 1))),
        4: (Name("app", "a"), rule(entry(1, 5, 1))),
        5: (Name("app", "b"), rule(entry(1, 4, 1))),
        6: (Name("app", "unlisted"), rule(entry(1, 1, 1))),
    }
    assert trace_origins(views, relations) == {VIEW: {"who": (TABLE, "id")}, TOP: {"person": (TABLE, "id")}}


def test_only_a_view_that_shows_the_whole_key_inherits_it() -> None:
    """A relationship, like a primary key, goes through a view that shows each of its columns, and through no other."""
    link = Relationship(
        origin=TABLE, target=OTHER, cardinality=Cardinality.MANY_TO_ONE, constraint="lives", columns=(("city", "id"), ("land", "land"))
    )
    whole = {"c": (TABLE, "city"), "l": (TABLE, "land"), "again": (TABLE, "city")}
    traced = {VIEW: whole, TOP: {"c": (TABLE, "city")}}
    found = extend_through_views([link], traced)
    assert {(made.origin, made.columns) for made in found} == {
        (VIEW, (("c", "id"), ("l", "land"))),
        (VIEW, (("again", "id"), ("l", "land"))),
    }
    assert find_view_keys(traced, {TABLE: ("city", "land")}) == {VIEW: ("c", "l")}
    assert find_view_keys(traced, {}) == {}
