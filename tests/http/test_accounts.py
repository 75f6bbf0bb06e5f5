"""Accounts: sign-up, sign-in, sessions and their carriers, profiles, the admin."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import bcrypt
import httpx
import pytest

from dealquest.compose import Kit

Bearer = Callable[..., dict[str, str]]

ANN = {"email": "Ann@Example.com ", "password": "correct horse"}


async def sign_up(client: httpx.AsyncClient, *, client_type: str = "server", **more: str) -> dict[str, Any]:
    answer = await client.post(f"/api/auth/users?client_type={client_type}", json={**ANN, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def token_of(opened: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {opened['accessToken']}"}


async def test_a_person_signs_up_signs_in_and_is_known(client: httpx.AsyncClient) -> None:
    """The user object has the clients' keys, the address is folded, the password is nowhere."""
    opened = await sign_up(client, name="Ann")
    assert opened["requireEmailVerification"] is False
    user = opened["user"]
    assert user.keys() == {"id", "email", "emailVerified", "providers", "createdAt", "updatedAt", "profile", "metadata"}
    assert (user["email"], user["providers"], user["profile"]) == ("ann@example.com", ["email"], {"name": "Ann"})
    assert user["createdAt"].endswith("Z")
    again = await client.post("/api/auth/sessions?client_type=mobile", json=ANN)
    assert again.status_code == 200
    assert "correct horse" not in again.text
    assert "password" not in again.json()["user"]
    current = await client.get("/api/auth/sessions/current", headers=token_of(again.json()))
    assert current.json() == {"user": user}


async def test_a_taken_address_is_a_conflict(client: httpx.AsyncClient) -> None:
    """409 with the clients' code; the account stays as it was."""
    await sign_up(client)
    answer = await client.post("/api/auth/users", json={"email": "ANN@example.com", "password": "another one"})
    assert (answer.status_code, answer.json()["error"]) == (409, "ALREADY_EXISTS")
    assert (await client.post("/api/auth/sessions", json=ANN)).status_code == 200


async def test_sign_up_refuses_what_cannot_be(client: httpx.AsyncClient) -> None:
    """Addresses and passwords are judged before anything is stored; bcrypt never cuts one silently."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"email": "no address"}, "AUTH_INVALID_EMAIL"),
        ({"email": "a@b.c\u202e"}, "AUTH_INVALID_EMAIL"),
        ({"password": "short"}, "AUTH_WEAK_PASSWORD"),
        ({"password": "x" * 73}, "AUTH_WEAK_PASSWORD"),
        ({"password": 7}, "INVALID_INPUT"),
        ({"name": "a\x00b"}, "INVALID_INPUT"),
    ]
    for change, code in cases:
        answer = await client.post("/api/auth/users", json={**ANN, **change})
        assert (answer.status_code, answer.json()["error"]) == (400, code), change


async def test_l1_an_unknown_address_and_a_wrong_password_are_answered_alike(client: httpx.AsyncClient) -> None:
    """Status, code, text and headers are the same."""
    await sign_up(client)
    wrong = await client.post("/api/auth/sessions", json={**ANN, "password": "not it"})
    unknown = await client.post("/api/auth/sessions", json={"email": "nobody@example.com", "password": "not it"})
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["error"] == "AUTH_UNAUTHORIZED"
    assert wrong.headers.keys() == unknown.headers.keys()


async def test_l1_an_unknown_address_costs_as_much_as_a_wrong_password(client: httpx.AsyncClient) -> None:
    """Time does not tell which addresses have an account: the password is hashed either way."""
    await sign_up(client)
    seconds: dict[str, list[float]] = {"ann@example.com": [], "nobody@example.com": []}
    for _ in range(3):
        for email, taken in seconds.items():
            begun = time.perf_counter()
            await client.post("/api/auth/sessions", json={"email": email, "password": "not it"})
            taken.append(time.perf_counter() - begun)
    known, unknown = (min(taken) for taken in seconds.values())
    assert 0.6 < known / unknown < 1.7, "without a hash one of them would take a tenth"


async def test_l1_five_failures_close_an_account_for_a_while(client: httpx.AsyncClient) -> None:
    """The sixth try is refused with Retry-After, the right password too; an unknown account closes in the same way."""
    await sign_up(client)
    for email in ("ann@example.com", "nobody@example.com"):
        answers = [await client.post("/api/auth/sessions", json={"email": email, "password": "guess"}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 900
        assert answers[-1].json()["error"] == "TOO_MANY_REQUESTS"
    assert (await client.post("/api/auth/sessions", json=ANN)).status_code == 429


async def test_l1_spraying_from_one_address_ends_after_twenty(client: httpx.AsyncClient) -> None:
    """Other names do not help, nor does an X-Forwarded-For that no trusted proxy wrote."""
    statuses = []
    for number in range(21):
        headers = {"X-Forwarded-For": f"9.9.9.{number}"}
        body = {"email": f"user{number}@example.com", "password": "guess"}
        statuses.append((await client.post("/api/auth/sessions", json=body, headers=headers)).status_code)
    assert statuses == [401] * 20 + [429]


async def test_l1_a_right_password_forgets_the_failures_before_it(client: httpx.AsyncClient) -> None:
    """Who remembers in time is not locked out later."""
    await sign_up(client)
    for _ in range(3):
        for _ in range(4):
            assert (await client.post("/api/auth/sessions", json={**ANN, "password": "guess"})).status_code == 401
        assert (await client.post("/api/auth/sessions", json=ANN)).status_code == 200


async def test_hashes_of_other_servers_verify(client: httpx.AsyncClient, kit: Kit) -> None:
    """`$2a$`, `$2b$` and `$2y$` of an imported account."""
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    for version in ("2a", "2b", "2y"):
        email = f"u{version}@example.com"
        await kit.records.rpc("account_create", for_email=email, password_hash=f"${version}${hashed[4:]}").run()
        assert (await client.post("/api/auth/sessions", json={"email": email, "password": "correct horse"})).status_code == 200


async def test_l2_a_refresh_token_is_good_once_and_a_copy_ends_the_family(client: httpx.AsyncClient) -> None:
    """Rotation; the second use of an old token ends the newest one too; both spellings of the field are read."""
    first = (await sign_up(client))["refreshToken"]
    renewed = await client.post("/api/auth/refresh?client_type=server", json={"refresh_token": first})
    assert renewed.status_code == 200
    assert renewed.json().keys() == {"user", "accessToken", "refreshToken"}
    second = renewed.json()["refreshToken"]
    assert second != first
    third = (await client.post("/api/auth/refresh?client_type=mobile", json={"refreshToken": second})).json()["refreshToken"]
    replayed = await client.post("/api/auth/refresh?client_type=server", json={"refreshToken": first})
    assert (replayed.status_code, replayed.json()["error"]) == (401, "AUTH_UNAUTHORIZED")
    assert (await client.post("/api/auth/refresh?client_type=server", json={"refreshToken": third})).status_code == 401


async def test_l2_the_web_carries_its_session_in_a_cookie_with_a_csrf_value(client: httpx.AsyncClient) -> None:
    """The cookie is out of scripts' reach; refresh and logout want the CSRF value, which stays the same over rotations."""
    answer = await client.post("/api/auth/users", json=ANN)
    assert "refreshToken" not in answer.json()
    written = answer.headers["set-cookie"]
    for part in ("insforge_refresh_token=", "HttpOnly", "Secure", "SameSite=none", "Path=/api/auth", "Max-Age=604800"):
        assert part in written
    cookie = {"Cookie": written.partition(";")[0]}
    csrf = {"X-CSRF-Token": answer.json()["csrfToken"]}
    client.cookies.clear()
    assert (await client.post("/api/auth/refresh", headers=csrf)).status_code == 401
    assert (await client.post("/api/auth/refresh", headers=cookie)).status_code == 403
    assert (await client.post("/api/auth/logout", headers=cookie)).status_code == 403
    renewed = await client.post("/api/auth/refresh", headers=cookie | csrf)
    assert renewed.status_code == 200
    assert renewed.json()["csrfToken"] == csrf["X-CSRF-Token"]
    newer = {"Cookie": renewed.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    gone = await client.post("/api/auth/logout", headers=newer | csrf)
    assert gone.json()["success"] is True
    assert 'insforge_refresh_token=""' in gone.headers["set-cookie"]
    client.cookies.clear()
    late = await client.post("/api/auth/refresh", headers=newer | csrf)
    assert late.status_code == 401
    assert 'insforge_refresh_token=""' in late.headers["set-cookie"]


async def test_l2_signing_out_with_ones_own_access_token_ends_the_cookies_session(client: httpx.AsyncClient) -> None:
    """SDK 1.1.3 sends no CSRF value there; another person's token is not enough."""
    ann = await client.post("/api/auth/users", json=ANN)
    bob = await client.post("/api/auth/users", json={**ANN, "email": "bob@example.com"})
    cookie = {"Cookie": ann.headers["set-cookie"].partition(";")[0]}
    client.cookies.clear()
    assert (await client.post("/api/auth/logout", headers=cookie | token_of(bob.json()))).status_code == 403
    assert (await client.post("/api/auth/logout", headers=cookie | token_of(ann.json()))).status_code == 200
    csrf = {"X-CSRF-Token": ann.json()["csrfToken"]}
    assert (await client.post("/api/auth/refresh", headers=cookie | csrf)).status_code == 401


async def test_l2_two_tabs_that_refresh_at_once_do_not_end_the_session(client: httpx.AsyncClient) -> None:
    """For a shared cookie the second use within a moment is refused, and the family lives on."""
    answer = await client.post("/api/auth/users", json=ANN)
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    csrf = {"X-CSRF-Token": answer.json()["csrfToken"]}
    client.cookies.clear()
    renewed = await client.post("/api/auth/refresh", headers=cookie | csrf)
    client.cookies.clear()
    second_tab = await client.post("/api/auth/refresh", headers=cookie | csrf)
    assert second_tab.status_code == 401
    assert "set-cookie" not in second_tab.headers
    newer = {"Cookie": renewed.headers["set-cookie"].partition(";")[0]}
    assert (await client.post("/api/auth/refresh", headers=newer | csrf)).status_code == 200


async def test_j5_a_refresh_token_is_no_access_token_and_back(client: httpx.AsyncClient) -> None:
    """Each purpose has its own key."""
    opened = await sign_up(client)
    for path in ("/api/auth/sessions/current", "/api/database/records/users"):
        refused = await client.get(path, headers={"Authorization": f"Bearer {opened['refreshToken']}"})
        assert (refused.status_code, refused.json()["error"]) == (401, "AUTH_UNAUTHORIZED")
    refused = await client.post("/api/auth/refresh?client_type=server", json={"refreshToken": opened["accessToken"]})
    assert refused.status_code == 401


async def test_j7_the_role_never_comes_from_the_request(client: httpx.AsyncClient) -> None:
    """Fields that ask for more are ignored; the session is an ordinary one."""
    body = {**ANN, "role": "project_admin", "is_project_admin": True, "id": str(uuid.UUID(int=1)), "metadata": {"role": "admin"}}
    opened = (await client.post("/api/auth/users?client_type=server", json=body)).json()
    assert opened["user"]["metadata"] == {}
    refused = await client.get("/api/auth/users", headers=token_of(opened))
    assert (refused.status_code, refused.json()["error"]) == (403, "AUTH_UNAUTHORIZED")


async def test_j7_a_deleted_account_is_signed_out(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Its access token shows nobody, its refresh token renews nothing."""
    opened = await sign_up(client)
    admin = bearer("project_admin", str(uuid.UUID(int=1)))
    gone = await client.request("DELETE", "/api/auth/users", json={"userIds": [opened["user"]["id"]]}, headers=admin)
    assert gone.json()["deletedCount"] == 1
    assert (await client.get("/api/auth/sessions/current", headers=token_of(opened))).json()["error"] == "AUTH_INVALID_CREDENTIALS"
    renewed = await client.post("/api/auth/refresh?client_type=server", json={"refreshToken": opened["refreshToken"]})
    assert renewed.status_code == 401


async def test_profiles_are_public_and_merged_by_their_owner(client: httpx.AsyncClient) -> None:
    """Keys are merged one by one; both names of the id are there; nobody changes another's."""
    opened = await sign_up(client, name="Ann")
    changed = await client.patch("/api/auth/profiles/current", json={"profile": {"team": {"n": 1}}}, headers=token_of(opened))
    expected = {"id": opened["user"]["id"], "userId": opened["user"]["id"], "profile": {"name": "Ann", "team": {"n": 1}}}
    assert changed.json() == expected
    assert (await client.get(f"/api/auth/profiles/{opened['user']['id']}")).json() == expected
    assert (await client.get("/api/auth/profiles/17")).status_code == 400
    assert (await client.get(f"/api/auth/profiles/{uuid.uuid4()}")).status_code == 404
    assert (await client.patch("/api/auth/profiles/current", json={"profile": {}})).status_code == 401


async def test_the_admin_decides_how_people_sign_up(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Rules of passwords and closing the door take effect at once; the public part shows no more than it must."""
    admin = bearer("project_admin", str(uuid.UUID(int=1)))
    changed = await client.put("/api/auth/config", json={"passwordMinLength": 12, "requireNumber": True}, headers=admin)
    assert changed.json()["passwordMinLength"] == 12
    refused = await client.post("/api/auth/users", json=ANN | {"password": "short"})
    assert "12 characters" in refused.json()["message"]
    assert "digit" in refused.json()["message"]
    assert (await client.put("/api/auth/config", json={"passwordMinLength": 3}, headers=admin)).status_code == 400
    assert (await client.put("/api/auth/config", json={"signInRedirectTo": "javascript:x"}, headers=admin)).status_code == 400
    await client.put("/api/auth/config", json={"disableSignup": True}, headers=admin)
    assert (await client.post("/api/auth/users", json=ANN | {"password": "long enough 1234"})).status_code == 403
    public = (await client.get("/api/auth/public-config")).json()
    assert public["oAuthProviders"] == []
    assert "signInRedirectTo" not in public
    assert (await client.get("/api/auth/config")).status_code == 401


async def test_the_admin_lists_and_finds_accounts(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Pages in the newer style, searched by address and name."""
    admin = bearer("project_admin", str(uuid.UUID(int=1)))
    opened = await sign_up(client, name="Ann Smith")
    await client.post("/api/auth/users", json={"email": "bob@example.com", "password": "correct horse"})
    page = (await client.get("/api/auth/users?limit=1&offset=0", headers=admin)).json()
    assert len(page["data"]) == 1
    assert page["pagination"] == {"offset": 0, "limit": 1, "total": 2}
    found = (await client.get("/api/auth/users?search=SMITH", headers=admin)).json()
    assert [user["email"] for user in found["data"]] == ["ann@example.com"]
    assert (await client.get(f"/api/auth/users/{opened['user']['id']}", headers=admin)).json() == opened["user"]
    assert (await client.get("/api/auth/users?limit=-1", headers=admin)).status_code == 400


class TestAdmin:
    """The admin's own session, by the operator's settings."""

    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"ADMIN_EMAIL": "boss@example.com", "ADMIN_PASSWORD": "a very long one", "ACCESS_API_KEY": "a" * 64}

    async def test_the_admin_signs_in_and_refreshes_with_a_cookie_of_their_own(self, client: httpx.AsyncClient, kit: Kit) -> None:
        """The role is project_admin, also after a refresh; the cookie does not meet the users'."""
        await kit.records.rpc("account_prepare", admin_email="boss@example.com", admin_password="-", first_key_hash="-").run()
        answer = await client.post("/api/auth/admin/sessions", json={"username": "boss@example.com", "password": "a very long one"})
        assert answer.status_code == 200
        assert "insforge_admin_refresh_token=" in answer.headers["set-cookie"]
        assert "Path=/api/auth/admin" in answer.headers["set-cookie"]
        headers = {"Cookie": answer.headers["set-cookie"].partition(";")[0], "X-CSRF-Token": answer.json()["csrfToken"]}
        client.cookies.clear()
        renewed = await client.post("/api/auth/admin/refresh", headers=headers)
        assert (await client.get("/api/auth/users", headers=token_of(renewed.json()))).status_code == 200
        client.cookies.clear()
        as_user = headers["Cookie"].replace("insforge_admin_refresh_token", "insforge_refresh_token")
        assert (await client.post("/api/auth/refresh", headers=headers | {"Cookie": as_user})).status_code == 401

    async def test_l1_the_admins_password_is_guarded_too(self, client: httpx.AsyncClient) -> None:
        """Five wrong tries close it for a while."""
        body = {"email": "boss@example.com", "password": "guess"}
        statuses = [(await client.post("/api/auth/admin/sessions", json=body)).status_code for _ in range(6)]
        assert statuses == [401] * 5 + [429]

    async def test_keys_open_what_they_are_for(self, client: httpx.AsyncClient) -> None:
        """An API key acts as project_admin by either header, a wrong one is refused; the anon key reads what anon may read."""
        key = "ik_" + "a" * 64
        for headers in ({"x-api-key": key}, {"Authorization": f"Bearer {key}"}, {"X-API-Key": key, "Authorization": "Bearer old"}):
            assert (await client.get("/api/auth/users", headers=headers)).status_code == 200
        wrong = await client.get("/api/auth/users", headers={"x-api-key": "ik_" + "b" * 64})
        assert (wrong.status_code, wrong.json()["error"]) == (401, "AUTH_INVALID_API_KEY")
        anon = (await client.post("/api/auth/tokens/anon", headers={"x-api-key": key})).json()["accessToken"]
        public = {"Authorization": f"Bearer {anon}"}
        assert (await client.get("/api/database/records/users", headers=public)).status_code in {401, 403}
        assert (await client.get("/api/auth/sessions/current", headers=public)).json()["error"] == "AUTH_INVALID_CREDENTIALS"
        assert (await client.get("/api/auth/users", headers={"Authorization": f"Bearer {anon[:-1]}"})).status_code == 401
