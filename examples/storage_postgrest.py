"""Read, write and call functions through PostgREST, typed. Here a script answers; a server needs one other line."""

from datetime import datetime

import anyio
import attrs

from dealquest.errors import InputError
from dealquest.storage import Postgrest, any_of, col, embed
from dealquest.testing import ScriptedTransport, answer_json


@attrs.frozen
class Attempt:
    """A row, as the database has it."""

    id: int
    score: int
    created_at: datetime


ROW = {"id": 7, "score": 85, "created_at": "2026-11-22T12:00:00+00:00"}


async def main() -> None:
    """Show a read, a guarded write and a function."""
    transport = ScriptedTransport(answer_json([ROW]), answer_json({"stored": True}))
    # With a server: HttpxTransport("https://project.example", headers=(("authorization", "Bearer ..."),)), dialect="supabase".
    db = Postgrest(transport)

    rows = (
        await db.table("attempts")
        .select("id", "score", "created_at", embed("users", "first_name", join="inner"))
        .where(any_of(col("score").gte(80), col("note").contains("(great)")), status="done")
        .order("-created_at")
        .limit(20)
        .all(Attempt)
    )
    print(rows[0].score, rows[0].created_at.isoformat())

    try:
        await db.table("attempts").delete().run()
    except InputError as refused:
        print(refused.code)

    print(await db.rpc("commit_turn", turn={"key": "k-1"}).repeatable())
    for request in transport.requests:
        print(request.method, request.url)


anyio.run(main)
