"""Access lists: decided by number, names claimed once."""

# ruff: noqa: RUF001  # characters that look like others are among the attacks

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dealquest.auth import AccessPolicy, Decision, decide_access
from dealquest.errors import SettingsError


class Claims:
    """`NameClaims` in memory, with a pause in which somebody else may act."""

    def __init__(self, owned: dict[str, int] | None = None) -> None:
        self.owned = owned or {}
        self.asked: list[tuple[str, int]] = []

    async def owners(self) -> dict[str, int]:
        await anyio.lowlevel.checkpoint()
        return dict(self.owned)

    async def claim(self, name: str, telegram_id: int) -> int:
        await anyio.lowlevel.checkpoint()
        self.asked.append((name, telegram_id))
        return self.owned.setdefault(name, telegram_id)


POLICY = AccessPolicy.from_lists(["42", "@Ann", "bob"], ["1", "Chief"])


@pytest.mark.parametrize(
    ("telegram_id", "username", "owners", "use", "admin"),
    [
        (42, None, {}, "id", "not_listed"),
        (42, "somebody", {}, "id", "not_listed"),
        (7, "ann", {}, "name_free", "not_listed"),
        (7, "@ANN", {}, "name_free", "not_listed"),
        (7, "ann", {"ann": 7}, "name_claimed", "not_listed"),
        (7, "renamed", {"ann": 7}, "name_claimed", "not_listed"),
        (7, None, {"ann": 7}, "name_claimed", "not_listed"),
        (8, "ann", {"ann": 7}, "name_of_another", "not_listed"),
        (8, "dora", {"dora": 8}, "not_listed", "not_listed"),
        (8, "anna", {}, "not_listed", "not_listed"),
        (8, None, {}, "not_listed", "not_listed"),
        (8, "", {}, "not_listed", "not_listed"),
        (1, None, {}, "admin", "id"),
        (9, "chief", {}, "admin", "name_free"),
        (9, None, {"chief": 9}, "admin", "name_claimed"),
        (8, "chief", {"chief": 9}, "not_listed", "name_of_another"),
    ],
)
def test_decisions(telegram_id: int, username: str | None, owners: dict[str, int], use: str, admin: str) -> None:
    """Ids first, then claimed names, then free ones; a name of another never."""
    access = POLICY.decide(telegram_id, username, owners)
    assert (access.use.reason, access.admin.reason) == (use, admin)
    granted = {"id", "name_claimed", "name_free", "admin"}
    assert (access.use.granted, access.admin.granted) == (use in granted, admin in granted)
    assert (access.use.claim is not None) == ("name_free" in {use, admin})


def test_a_free_name_says_what_to_claim() -> None:
    """The decision carries the folded name."""
    assert POLICY.decide(7, "@Ann").use == Decision(granted=True, reason="name_free", claim="ann")
    assert POLICY.decide(7, "Chief").use == Decision(granted=True, reason="admin", claim="chief")


def test_an_empty_list_admits_everyone_and_warns() -> None:
    """Nobody listed means everyone, never an admin, and the operator is told."""
    policy = AccessPolicy.from_lists([], [])
    access = policy.decide(5, "x")
    assert (access.use, access.admin) == (Decision(granted=True, reason="everyone"), Decision(granted=False, reason="not_listed"))
    assert policy.warnings == ("ALLOWED_USERNAMES is empty: everyone may use the bot and spend the team's model key",)


def test_names_are_warned_about_and_ids_are_not() -> None:
    """Names can change hands, so their operator is told; a list of ids is silent."""
    assert AccessPolicy.from_lists(["1"], ["2"]).warnings == ()
    assert POLICY.warnings == ("names can change hands, ids cannot; prefer the numeric ids of ann, bob, chief",)
    assert len(AccessPolicy.from_lists([], ["chief"]).warnings) == 2
    assert not AccessPolicy.from_lists(["ann"], []).warnings[0].startswith("ALLOWED")


@pytest.mark.parametrize("name", ["\u212aate", "ſam", "аnn", "ann\u200b", "ａnn", "an n", "ann\n1"])
def test_look_alikes_are_not_names(name: str) -> None:
    """Unicode look-alikes match no entry, not even after case folding."""
    policy = AccessPolicy.from_lists(["kate", "sam", "ann"], [])
    assert policy.decide(7, name).use.reason == "not_listed"


@pytest.mark.parametrize("entry", ["", "@", "0", "007", "-5", str(2**53 + 1), "a b", "ann,bob", "x" * 33, "имя", "https://t.me/ann"])
def test_odd_entries_stop_the_start(entry: str) -> None:
    """An entry that is neither id nor name is an error of the operator, with its variable's name."""
    with pytest.raises(SettingsError, match="ALLOWED_USERNAMES") as caught:
        AccessPolicy.from_lists([entry], [])
    assert caught.value.code == "auth.access.entry"
    with pytest.raises(SettingsError, match="ADMIN_USERNAMES"):
        AccessPolicy.from_lists([], [entry])


def test_entries_are_read_as_people_write_them() -> None:
    """Blanks, @ and case do not matter; the largest id is an id, and a name of 32 characters a name."""
    policy = AccessPolicy.from_lists([" @Ann ", str(2**53), "x" * 32], [])
    assert [policy.decide(7, name).use.granted for name in ("ann", "ANN", "x" * 32, "y")] == [True, True, True, False]
    assert policy.decide(2**53, None).use.reason == "id"


@given(first=st.integers(1, 99), second=st.integers(1, 99), username=st.sampled_from(["Ann", "@ann", "ANN"]))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_claimed_name_never_moves(first: int, second: int, username: str) -> None:
    """Whoever shows a listed name first keeps it, under any later name; nobody else gets in by it."""
    policy = AccessPolicy.from_lists(["ann"], [])
    claims = Claims()

    async def walk() -> None:
        assert (await decide_access(policy, claims, first, username)).use.reason == "name_claimed"
        assert (await decide_access(policy, claims, first, "renamed")).use.granted
        assert (await decide_access(policy, claims, second, username)).use.granted == (first == second)

    anyio.run(walk)
    assert claims.asked == [("ann", first)]


async def test_two_at_once_are_told_apart() -> None:
    """Of two accounts that show one free name at the same moment, one gets it."""
    claims, seen = Claims(), []

    async def ask(telegram_id: int) -> None:
        seen.append((telegram_id, (await decide_access(POLICY, claims, telegram_id, "ann")).use))

    async with anyio.create_task_group() as group:
        for telegram_id in (70, 71, 72):
            group.start_soon(ask, telegram_id)
    winners = [telegram_id for telegram_id, use in seen if use.granted]
    assert winners == [claims.owned["ann"]]
    assert {use.reason for _, use in seen} == {"name_claimed", "name_of_another"}


async def test_ids_and_strangers_claim_nothing() -> None:
    """Only a free listed name is claimed."""
    claims = Claims()
    for telegram_id, username in ((42, "ann42"), (1, None), (5, "stranger")):
        await decide_access(POLICY, claims, telegram_id, username)
    assert claims.asked == []
