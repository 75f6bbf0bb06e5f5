"""What a type checker knows about the client's answers; run mypy on this file."""

from typing import Any, assert_type

import attrs

from dealquest.storage import Page, Postgrest


@attrs.frozen
class User:
    """A row."""

    id: int


async def check(db: Postgrest) -> None:
    """Rows have the class that was asked for, and are dicts where none was."""
    users = db.table("users")
    assert_type(await users.select("id").where(id__gt=1).order("-id").limit(3).all(User), list[User])
    assert_type(await users.select().all(), list[dict[str, Any]])
    assert_type(await users.where(id=1).one(User), User)
    assert_type(await users.where(id=1).one_or_none(User), User | None)
    assert_type(await users.select().page(User), Page[User])
    assert_type([row async for row in users.select().each(User)], list[User])
    assert_type([row async for row in users.select().each()], list[dict[str, Any]])
    assert_type(await users.select().count(), int)
    assert_type(await users.insert({"id": 1}).one(User), User)
    assert_type(await users.upsert([User(1)], on="id").all(User), list[User])
    assert_type(await users.update({"id": 2}).where(id=1).one_or_none(User), User | None)
    assert_type(await users.delete().where(id=1).count(), int)
    assert_type(await db.rpc("add", a=1).value(int), int)
    assert_type(await db.rpc("best").all(User), list[User])
    assert_type(await db.rpc_get("best").value(list[User]), list[User])
