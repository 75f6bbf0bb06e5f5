"""The matrix of rights: every caller, by every way in, reads and changes rows of their own alone (P21, Q6)."""

import json
from typing import Any

import attrs
import psycopg
import pytest
from replay import CONFIG, Case, ask

from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import ANON, Principal

FULL = {"prefer": "return=representation"}
COMMITTING = EngineConfig(db_schemas=("cinema",), db_anon_role="anon", db_aggregates_enabled=True)


@attrs.frozen
class Caller:
    """Somebody who asks, and the rows that are theirs: id and text of notes, id and note of lines."""

    principal: Principal
    notes: dict[int, str] = attrs.field(factory=dict)
    lines: dict[int, int] = attrs.field(factory=dict)

    @property
    def name(self) -> str:
        return self.principal.subject or "nobody"


ANN = Caller(Principal(role="authenticated", subject="ann"), {1: "a1", 2: "a2"}, {1: 1})
BOB = Caller(Principal(role="authenticated", subject="bob"), {3: "b1"}, {2: 3})
EVE = Caller(Principal(role="authenticated", subject="eve"))
NAMELESS = Caller(Principal(role="authenticated"))
ADMIN = Caller(Principal(role="project_admin", subject="admin"))  # has every grant; no policy is for them
NOBODY = Caller(ANON)
SIGNED_IN = [ANN, BOB, EVE, NAMELESS, ADMIN]


def reads(who: Caller) -> dict[str, Any]:
    """Every way to read, and exactly what this caller may see by it."""
    ids = [{"id": note} for note in who.notes]
    with_lines = [{"id": note, "lines_of_notes": [{"id": line} for line, of in who.lines.items() if of == note]} for note in who.notes]
    with_notes = [{"id": line, "notes": {"id": of, "body": who.notes[of]}} for line, of in who.lines.items()]
    found: dict[str, Any] = {}
    for way in ("/notes", "/notes_view", "/rpc/all_notes"):
        found[f"GET {way}?select=id&order=id"] = ids
        found[f"GET {way}?select=id&order=id&or=(id.gt.0,owner.neq.{who.name})"] = ids
        found[f"GET {way}?select=id&order=id&not.and=(id.lt.0,body.eq.x)"] = ids
        found[f"GET {way}?select=count()"] = [{"count": len(ids)}]
        found[f"GET {way}?select=id.max()"] = [{"max": max(who.notes, default=None)}]
        found[f"GET {way}?select=id,lines_of_notes(id)&order=id"] = with_lines
        found[f"GET {way}?select=id,lines_of_notes!inner(id)&order=id"] = [row for row in with_lines if row["lines_of_notes"]]
        found |= {f"GET {way}?select=id&id=eq.{note}": [{"id": note}] if note in who.notes else [] for note in (1, 2, 3)}
    found["POST /rpc/all_notes?select=id&order=id"] = ids
    found["GET /lines_of_notes?select=id,notes(id,body)"] = with_notes
    found["GET /lines_of_notes?select=id,notes!inner(id,body)&notes.id=gt.0"] = with_notes
    found["GET /lines_of_notes?select=id,...notes(body)&order=notes(body)"] = [
        {"id": line, "body": who.notes[of]} for line, of in who.lines.items()
    ]
    found["GET /lines_of_notes?select=notes(lines_of_notes(id))"] = [
        {"notes": {"lines_of_notes": [{"id": line} for line, other in who.lines.items() if other == of]}} for of in who.lines.values()
    ]
    return found


@pytest.mark.parametrize("who", SIGNED_IN, ids=lambda who: who.name)
async def test_p21_everybody_reads_their_own_rows_by_every_way(cinema: str, who: Caller) -> None:
    """Tables, views, functions, filters, aggregates, embeds both ways, spreads and counts."""
    async with await Engine.open(cinema, CONFIG) as engine:
        for line, expected in reads(who).items():
            answer = await ask(engine, Case(line, body={} if line.startswith("POST") else None), who.principal)
            assert (answer.status, json.loads(answer.body)) == (200, expected), line
        for way in ("/notes", "/notes_view", "/rpc/all_notes"):
            counted = await ask(engine, Case(f"HEAD {way}", headers={"prefer": "count=exact"}), who.principal)
            assert (counted.header("content-range") or "").rpartition("/")[2] == str(len(who.notes)), way
            text = await ask(engine, Case(f"GET {way}?select=id&order=id", headers={"accept": "text/csv"}), who.principal)
            assert text.body.decode().split()[1:] == [str(note) for note in who.notes], way


async def test_p21_nobody_is_refused_by_every_way(cinema: str) -> None:
    """Without proof no way in gives anything, not even a count."""
    async with await Engine.open(cinema, CONFIG) as engine:
        for line in [*reads(ANN), "HEAD /notes", "HEAD /notes_view"]:
            answer = await ask(engine, Case(line, headers={"prefer": "count=exact"}), NOBODY.principal)
            assert (answer.status, b"a1" in answer.body, (answer.header("content-range") or "*/*")[-1]) == (401, False, "*"), line


def attacks(who: Caller, victim: Caller) -> list[tuple[Case, int, list[Any] | None]]:
    """Changes to rows of another, each with the status and the rows it may be answered with; None for an error."""
    row, line = next(iter(victim.notes)), next(iter(victim.lines))
    merge, ignore = {"prefer": "resolution=merge-duplicates"}, {"prefer": "resolution=ignore-duplicates, return=representation"}
    found: list[tuple[Case, int, list[Any] | None]] = [
        (Case(f"PATCH /lines_of_notes?id=eq.{line}", body={"text": "stolen"}, headers=FULL), 200, []),
        (Case(f"DELETE /lines_of_notes?id=eq.{line}", headers=FULL), 200, []),
        (Case("POST /lines_of_notes", body={"id": 90, "note_id": row, "text": "planted"}), 403, None),
        (Case("POST /lines_of_notes", body={"id": line, "note_id": row, "text": "x"}, headers=merge), 403, None),
    ]
    for way in ("/notes", "/notes_view"):
        taken, given = {"id": row, "owner": who.name, "body": "stolen"}, {"id": 91, "owner": victim.name, "body": "planted"}
        found += [
            (Case(f"PATCH {way}?id=eq.{row}", body={"body": "stolen"}, headers=FULL), 200, []),
            (Case(f"PATCH {way}?owner=eq.{victim.name}", body={"owner": who.name}, headers=FULL), 200, []),
            (Case(f"DELETE {way}?id=eq.{row}", headers=FULL), 200, []),
            (Case(f"DELETE {way}?owner=neq.{who.name}", headers=FULL), 200, []),
            (Case(f"POST {way}", body=given), 403, None),
            (Case(f"POST {way}", body=[{"id": 92, "owner": who.name, "body": "x"}, given]), 403, None),
        ]
        if way == "/notes":  # a view has no key to meet
            found += [
                (Case(f"PUT {way}?id=eq.{row}", body=taken), 403, None),
                (Case(f"POST {way}", body=taken), 403 if who is ADMIN else 409, None),
                (Case(f"POST {way}", body=taken, headers=merge), 403, None),
                (Case(f"POST {way}", body=taken, headers=ignore), 403 if who is ADMIN else 201, [] if who is not ADMIN else None),
            ]
    for mine in who.notes:
        found.append((Case(f"PATCH /notes?id=eq.{mine}", body={"owner": victim.name}), 403, None))
    for mine in who.lines:
        found.append((Case(f"PATCH /lines_of_notes?id=eq.{mine}", body={"note_id": row}), 403, None))
    return found


@pytest.mark.parametrize("victim", [ANN, BOB], ids=lambda who: who.name)
@pytest.mark.parametrize("who", [ANN, BOB, EVE, ADMIN, NOBODY], ids=lambda who: who.name)
async def test_p21_nobody_changes_rows_of_another(cinema: str, cinema_owner: str, who: Caller, victim: Caller) -> None:
    """Each verb on tables and views, with commits: refused or without effect, and every row is as it was."""
    if who is victim:
        return
    look = "select array(select n from cinema.notes n order by id)::text || array(select l from cinema.lines_of_notes l order by id)::text"
    with psycopg.connect(cinema_owner, autocommit=True) as owner:
        before = owner.execute(look).fetchone()
        async with await Engine.open(cinema, COMMITTING) as engine:
            for case, status, rows in attacks(who, victim):
                answer = await ask(engine, case, who.principal)
                assert answer.status == (401 if who is NOBODY else status), (case, answer.body)
                assert who is NOBODY or rows is None or json.loads(answer.body) == rows, case
        assert owner.execute(look).fetchone() == before


async def test_p21_a_change_without_a_condition_reaches_own_rows_alone(cinema: str) -> None:
    """PATCH and DELETE of everything touch what is the caller's."""
    async with await Engine.open(cinema, CONFIG) as engine:
        for who in SIGNED_IN:
            for way in ("/notes", "/notes_view"):
                for verb, body in (("PATCH", {"body": "new"}), ("DELETE", None)):
                    answer = await ask(engine, Case(f"{verb} {way}?select=id&order=id", body=body, headers=FULL), who.principal)
                    assert json.loads(answer.body) == [{"id": note} for note in who.notes], (who.name, verb, way)


SPY = """
create function cinema.spy(cinema.notes) returns text language plpgsql stable cost 0.0001 as $$ begin
  if $1.owner <> nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub' then raise exception 'saw %', $1.body; end if;
  return $1.body; end $$;
"""


async def test_q6_a_function_in_a_filter_is_shown_own_rows_alone(cinema: str, cinema_owner: str) -> None:
    """However cheap it says it is, a computed column that tells what it sees is asked after the policy."""
    with psycopg.connect(cinema_owner, autocommit=True) as owner:
        owner.execute(SPY)
        try:
            async with await Engine.open(cinema, CONFIG) as engine:
                for path in (
                    "/notes?spy=eq.b1",
                    "/notes?spy=neq.x&select=id,spy",
                    "/notes?or=(spy.eq.b1,id.eq.1)",
                    "/notes?order=spy",
                    "/notes_view?id=gt.0&body=not.is.null",
                    "/lines_of_notes?select=id,notes!inner(id)&notes.spy=not.is.null",
                    "/lines_of_notes?select=id,notes(spy)&order=notes(spy)",
                    "/rpc/all_notes?spy=eq.b1",
                ):
                    answer = await ask(engine, Case("GET " + path), BOB.principal)
                    assert (answer.status, b"saw" in answer.body, len(json.loads(answer.body))) == (200, False, 1), (path, answer.body)
        finally:
            owner.execute("drop function cinema.spy(cinema.notes)")
