"""Plans by shape: a plan made for one request serves another with exactly the values that a new plan would have."""

from collections.abc import Mapping
from datetime import UTC, datetime

import attrs
import jwt
from hypothesis import assume, given
from hypothesis import strategies as st
from replay import CONFIG as REPLAY
from replay import Case, ask

from dealquest.errors import DealQuestError
from dealquest.storage.engine import Engine
from dealquest.storage.engine.catalog import Catalog, ColumnInfo, Name, Parameter, Routine, Table
from dealquest.storage.engine.compile import compile_request
from dealquest.storage.engine.config import EngineConfig
from dealquest.storage.engine.execute import encode_values
from dealquest.storage.engine.fragments import array_literal, quote, quote_text, quote_type
from dealquest.storage.engine.incoming import Incoming
from dealquest.storage.engine.jwt import TokenReader
from dealquest.storage.engine.parse import Limits, parse_request, split_query
from dealquest.storage.engine.shape import fill, take_apart
from dealquest.values import Principal, Secret

_COLUMNS = {name: ColumnInfo(name=name, type="text", base_type="text") for name in ("a", "b")}
_FILMS = Name("s", "films")
_FUNCTION = Routine(
    id=Name("s", "f"),
    parameters=(Parameter(name="a", type="text", required=False), Parameter(name="b", type="text", required=False)),
    returns=_FILMS,
    returns_set=True,
    returns_composite=True,
    returns_void=False,
    volatility="stable",
)
CATALOG = Catalog(
    server_version=180000,
    tables={
        _FILMS: Table(
            id=_FILMS, is_view=False, insertable=True, updatable=True, deletable=True, description=None, key=("a",), columns=_COLUMNS
        )
    },
    relationships={},
    functions={_FUNCTION.id: (_FUNCTION,)},
)
CONFIG = EngineConfig(db_schemas=("s",), db_anon_role="anon")

_raw = st.text(st.sampled_from("ab19.,()*%+\"'\\ :&=-é{}"), max_size=12).map(lambda text: text.replace("&", "%26"))
_operator = st.sampled_from(["eq.", "not.eq.", "like.", "gt.", "in.", "not.in.", "is.", "cs.", "eq(any).", "fts(english).", ""])
_name = st.sampled_from(["a", "b", "%61", "a->>x", "or", "not.and", "order", "limit", "a+"])
_pair = st.tuples(_name, _operator, _raw, _raw, st.booleans())
# Pairs whose sides have one shape for sure, so that more than a tenth of the requests have.
_sure = st.tuples(
    _name, st.sampled_from(["eq.", "not.eq.", "like.", "gt."]), *[st.text("ab19é", min_size=1, max_size=9)] * 2, st.just(value=False)
)
_same = _pair.map(lambda pair: (*pair[:3], pair[2], pair[4]))


def _query(pairs: list[tuple[str, str, str, str, bool]], side: int) -> str:
    return "&".join(
        f"{name}={operator}{f'({pair})' if wrapped else pair}" for name, operator, *raws, wrapped in pairs for pair in [raws[side]]
    )


@given(
    st.lists(_pair | _sure | _same, max_size=4),
    st.sampled_from([("GET", "/films"), ("DELETE", "/films"), ("GET", "/rpc/f"), ("POST", "/rpc/f")]),
)
def test_a_known_shape_gives_the_values_of_a_new_plan(pairs: list[tuple[str, str, str, str, bool]], target: tuple[str, str]) -> None:
    """Two requests of one shape: the second's values in the first's plan are those of the second's own plan."""
    requests = [Incoming(*target, _query(pairs, side)) for side in (0, 1)]
    first, second = (take_apart(request, None) for request in requests)
    assume(first.key == second.key)
    compiled = []
    for request in requests:
        try:
            compiled.append(compile_request(parse_request(request, split_query(request.query), limits=Limits()), CATALOG, CONFIG))
        except DealQuestError:
            compiled.append(None)
    assert (compiled[0] is None) == (compiled[1] is None)
    if compiled[0] is not None and compiled[1] is not None:
        assert compiled[0].sql == compiled[1].sql
        assert _encoded(fill(compiled[0].values, second)) == _encoded(list(compiled[1].values))


def _encoded(values: list[object]) -> object:
    try:
        return encode_values(values)  # type: ignore[arg-type]  # a list of what values are
    except DealQuestError as exc:
        return exc.code


@given(st.text())
def test_q3_quoting_holds_any_text(text: str) -> None:
    """No text leaves its quotes: identifiers, literals, array items and types."""
    inner = quote(text)[1:-1]
    assert inner.replace('""', "").count('"') == 0
    literal = quote_text(text)
    body = literal.removeprefix("E")[1:-1]
    assert body.replace("\\\\", "").replace("''", "").count("'") == 0
    item = array_literal((text,))[2:-2]
    assert item.replace("\\\\", "").replace('\\"', "").count('"') == 0
    kind = quote_type(text)
    assert ";" not in kind.replace(quote(text.strip()), "")


@given(st.integers(0, 200), st.integers(1, 255))
def test_q5_no_changed_byte_of_a_token_is_accepted(place: int, change: int) -> None:
    """A token with any byte changed is refused."""
    secret = "reallyreallyreallyreallyverysafe"
    token = jwt.encode({"role": "user", "sub": "1"}, secret, algorithm="HS256").encode()
    place %= len(token)
    changed = bytearray(token)
    changed[place] ^= change
    reader = TokenReader(EngineConfig(db_anon_role="anon", jwt_secret=Secret(secret)))
    try:
        text = bytes(changed).decode("ascii")
        found = reader.read(f"Bearer {text}", now=datetime(2026, 1, 1, tzinfo=UTC), allowed=frozenset({"user"}))
    except (DealQuestError, UnicodeDecodeError):
        return
    # The last letter of a signature has bits that no byte uses; whoever changes only those has changed nothing.
    assert found.role == "user"
    assert place == len(token) - 1 or text.strip() == token.decode()


async def test_plans_keep_no_body(cinema: str) -> None:
    """A large body is gone once it is answered, and the number of plans is bounded."""
    async with await Engine.open(cinema, attrs.evolve(REPLAY, max_shapes=5)) as engine:
        for number in range(20):
            case = Case(f"POST /actors?select=a{number}:name", body=[{"id": 100 + number, "name": "x" * 100_000}])
            assert (await ask(engine, case)).status == 201
        assert len(engine._preparer._plans) == 5
        assert len(show_all(engine._preparer._plans._kept)) < 200_000
        assert len(repr(engine._preparer._known._kept)) < 400_000


async def test_a_remembered_request_is_its_askers_own(cinema: str) -> None:
    """The very same request by two people in turn gives each their own rows, and each change its own body."""
    people = {"ann": [{"id": 1}, {"id": 2}], "bob": [{"id": 3}]}
    async with await Engine.open(cinema, REPLAY) as engine:
        users = {name: Principal(role="authenticated", subject=name) for name in people}
        for _ in range(3):
            for name, rows in people.items():
                assert (await ask(engine, Case("GET /notes?select=id&order=id"), users[name])).json() == rows
                for number in (910, 911):
                    row = {"id": number, "body": name}
                    case = Case("POST /notes?select=id,body", body=row, headers={"prefer": "return=representation"})
                    assert (await ask(engine, case, users[name])).json() == [row]


def show_all(plans: Mapping[object, object]) -> str:
    """Everything that the plans hold, as text."""
    return "".join(f"{plan.values!r}{plan.compiled!r}{attrs.asdict(plan.request)!r}" for plan in plans.values())  # type: ignore[attr-defined]  # plans
