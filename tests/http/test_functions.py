"""The seed's edge functions as native handlers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from dealquest.compose import Kit
from dealquest.testing import sign_init_data
from dealquest.values import Secret, SystemClock

Bearer = Callable[..., dict[str, str]]

BOT = "123456:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
ANN = {"id": 77, "first_name": "Ann", "username": "ann", "language_code": "de"}


def init_data(*, age_s: float = 0, token: str = BOT, user: dict[str, object] | None = None) -> dict[str, str]:
    at = SystemClock().now() - timedelta(seconds=age_s)
    return {"initDataRaw": sign_init_data(Secret(token), auth_date=at, user=user or ANN)}  # type: ignore[arg-type]


class TestVerifyTelegram:
    """The Mini App's sign-in."""

    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"TELEGRAM_BOT_TOKEN": BOT}

    async def test_it_opens_a_session_for_who_opened_the_mini_app(self, client: httpx.AsyncClient, kit: Kit) -> None:
        """The answer has the seed's form; the token is a caller whose own row is visible; a second call finds the same person."""
        answer = await client.post("/functions/verify-telegram", json=init_data())
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.keys() == {"jwt", "user"}
        assert body["user"] == {"id": body["user"]["id"], "telegram_id": 77, "username": "ann", "first_name": "Ann"}
        headers = {"Authorization": f"Bearer {body['jwt']}"}
        rows = (await client.get("/api/database/records/users?select=telegram_id,language", headers=headers)).json()
        assert rows == [{"telegram_id": 77, "language": "de"}]
        changed = init_data(user={**ANN, "first_name": "Anna", "language_code": "fr"})
        again = (await client.post("/functions/verify-telegram", json=changed)).json()
        assert again["user"]["id"] == body["user"]["id"]
        row = await kit.records.table("users").select("first_name", "language").one()
        assert row == {"first_name": "Anna", "language": "de"}

    async def test_it_refuses_what_is_not_proven(self, client: httpx.AsyncClient) -> None:
        """400 for what cannot be read, 403 for old, future and foreign; `error` is a text, as the seed's page shows it."""
        cases: list[tuple[dict[str, Any], int]] = [
            ({}, 400),
            ({"initDataRaw": 7}, 400),
            ({"initDataRaw": "nonsense"}, 400),
            (init_data(age_s=3700), 403),
            (init_data(age_s=-300), 403),
            (init_data(token="999:BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"), 403),
        ]
        for body, status in cases:
            answer = await client.post("/functions/verify-telegram", json=body, headers={"Origin": "https://pages.example"})
            assert (answer.status_code, type(answer.json()["error"])) == (status, str), body
            assert answer.headers["access-control-allow-origin"] == "*"
            assert "access-control-allow-credentials" not in answer.headers

    class TestLists:
        """The operator's lists count here too."""

        @pytest.fixture
        def variables(self) -> dict[str, str]:
            return {"TELEGRAM_BOT_TOKEN": BOT, "ALLOWED_USERNAMES": "ann,78"}

        async def test_b1_a_name_admits_the_first_who_shows_it(self, client: httpx.AsyncClient) -> None:
            """Signed initData proves a name as a message does: it belongs to the first id, and to nobody after."""
            url = "/functions/verify-telegram"
            assert (await client.post(url, json=init_data(user={**ANN, "id": 80, "username": "bob"}))).status_code == 403
            assert (await client.post(url, json=init_data(user={**ANN, "id": 78, "username": "bob"}))).status_code == 200
            assert (await client.post(url, json=init_data())).status_code == 200
            assert (await client.post(url, json=init_data(user={**ANN, "id": 79}))).status_code == 403


async def test_without_a_bot_token_verify_telegram_is_off(client: httpx.AsyncClient) -> None:
    """500, as the seed answers a missing setting, and no word about which."""
    answer = await client.post("/functions/verify-telegram", json=init_data())
    assert answer.status_code == 500


async def test_an_unknown_function_is_not_found(client: httpx.AsyncClient) -> None:
    """404 in the form of functions."""
    answer = await client.post("/functions/nothing", json={})
    assert (answer.status_code, answer.json()) == (404, {"error": "Function not found or not active"})


@pytest.fixture
async def people(kit: Kit) -> None:
    await kit.records.table("users").insert([{"local_name": "ann"}, {"local_name": "bob"}]).run()


async def ask(client: httpx.AsyncClient, headers: dict[str, str], **query: object) -> httpx.Response:
    return await client.post("/functions/db-proxy", json=query, headers=headers)


async def test_db_proxy_asks_with_the_callers_own_role(client: httpx.AsyncClient, people: None, bearer: Bearer) -> None:
    """Nobody is refused, a person sees and changes their own row only, the admin all."""
    assert (await ask(client, {}, operation="select", table="users")).status_code == 401
    own = await ask(client, bearer(), operation="select", table="users", select="local_name", order="id.desc", limit=5)
    assert own.json() == {"data": [{"local_name": "ann"}]}
    everyone = await ask(client, bearer("project_admin"), operation="select", table="users", select="local_name", order="id.desc")
    assert everyone.json() == {"data": [{"local_name": "bob"}, {"local_name": "ann"}]}
    mended = await ask(
        client, bearer(), operation="update", table="users", data={"language": "fr"}, filters={"local_name": "bob"}, select="id"
    )
    assert mended.json() == {"data": []}
    mended = await ask(client, bearer(), operation="update", table="users", data={"language": "fr"}, filters={"id": 1}, select="language")
    assert mended.json() == {"data": [{"language": "fr"}]}


async def test_db_proxy_writes_and_says_when_a_row_was_there(client: httpx.AsyncClient, people: None, bearer: Bearer) -> None:
    """Insert, upsert onto an existing row, delete by filter: the seed's answers."""
    admin = bearer("project_admin")
    row = {"local_name": "cid"}
    made = await ask(client, admin, operation="insert", table="users", data=row, select="local_name")
    assert made.json() == {"data": [row]}
    assert (await ask(client, admin, operation="upsert", table="users", data=row)).json() == {"data": [row], "note": "already_exists"}
    assert (await ask(client, admin, operation="insert", table="users", data=row)).status_code == 409
    gone = await ask(client, admin, operation="delete", table="users", filters={"local_name": "cid"}, select="local_name")
    assert gone.json() == {"data": [row]}


REFUSED: list[tuple[dict[str, Any], int]] = [
    ({"operation": "delete", "table": "users"}, 400),
    ({"operation": "delete", "table": "users", "filters": {}}, 400),
    ({"operation": "update", "table": "users", "data": {"language": "x"}, "filters": {}}, 400),
    ({"operation": "select", "table": "inbox"}, 403),
    ({"operation": "select", "table": "user_keys"}, 403),
    ({"operation": "select", "table": "users", "filters": {"or": "(id.gt.0)"}}, 400),
    ({"operation": "select", "table": "users", "filters": {"id=gt.0&x": "1"}}, 400),
    ({"operation": "select", "table": "users", "select": "*,user_keys(*)"}, 400),
    ({"operation": "select", "table": "users", "order": "id.desc,(select 1)"}, 400),
    ({"operation": "select", "table": "users", "limit": 100000}, 400),
    ({"operation": "truncate", "table": "users"}, 400),
    ({"operation": "select", "table": "users", "filters": {"id": "1 or 1=1"}}, 400),
]


async def test_q4_db_proxy_refuses_what_is_too_much(client: httpx.AsyncClient, people: None, bearer: Bearer) -> None:
    """No filter, another table, an operator, an embed, SQL: refused for the admin too, and no row changes."""
    for query, status in REFUSED:
        answer = await ask(client, bearer("project_admin"), **query)
        assert (answer.status_code, type(answer.json()["error"])) == (status, str), (query, answer.text)


async def test_q1_values_of_filters_stay_data(client: httpx.AsyncClient, people: None, bearer: Bearer) -> None:
    """A value that looks like an operator finds nobody."""
    for value in ("eq.ann", "in.(ann,bob)", "not.is.null", "*", "ann,bob", 'a"b\\', "%"):
        answer = await ask(client, bearer("project_admin"), operation="select", table="users", filters={"local_name": value})
        assert answer.json() == {"data": []}, value
