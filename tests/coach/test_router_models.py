"""Whose model answers whom: a user's own key alone where they chose it, else the team's, and nothing of a key is kept."""

from typing import Any

import attrs
import pytest

from dealquest.coach.dialogue import AskModel, User
from dealquest.coach.dialogue.effects import Line
from dealquest.coach.effects import Attachment, Caller
from dealquest.coach.models import RouterModel, RouterModels
from dealquest.llm import Provider, Route, Router
from dealquest.settings import Settings
from dealquest.testing import FrozenClock, ScriptedTransport, answer_events, answer_json
from dealquest.values import Secret
from dealquest.vault import Vault, generate_key

TEAM = Provider(name="openrouter", base_url="https://router.invalid/api/v1", key=Secret("sk-team"))
ASKED = AskModel(purpose="support", system="Be brief.", lines=[Line("user", "Hi"), Line("assistant", "Yes?"), Line("user", "Look")])


@attrs.frozen
class Card:
    points: int


def whole(text: str, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    return {"id": "gen-1", "model": "team/model", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.1}}


def delta(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "gen-1", "model": "team/model", "choices": [{"index": 0, "delta": {"content": text}, **more}]}


def team(wire: ScriptedTransport) -> Router:
    return Router([Route(model="team/model", provider=TEAM)], transport=wire)


async def test_a_question_is_asked_with_its_photo_whole_in_pieces_or_as_an_object() -> None:
    """Roles and order are kept, the photo goes with the last line, partial texts are shown as they grow."""
    wire = ScriptedTransport(
        answer_json(whole("Hello")),
        answer_json(whole('{"points": 7}')),
        answer_events(delta("Hel"), delta("lo"), delta("", finish_reason="stop"), "[DONE]"),
    )
    model = RouterModel(team(wire), "en")
    photo = Attachment(data=b"\xff\xd8pic", media_type="image/jpeg")
    assert (await model.ask(ASKED, photo, None)).value == "Hello"
    sent = bytes(wire.requests[0].body)  # type: ignore[arg-type]  # bytes here
    assert sent.count(b'"role":"user"') == 2
    assert b"image_url" in sent
    assert (await model.ask(attrs.evolve(ASKED, output=Card), None, None)).value == Card(7)
    shown: list[str] = []

    async def on_partial(text: str) -> None:
        shown.append(text)

    answered = await model.ask(ASKED, None, on_partial)
    assert (answered.value, answered.model, shown) == ("Hello", "team/model", ["Hel", "Hello"])
    assert model.scorer is not None


async def test_a_user_is_served_by_the_key_they_chose() -> None:
    """An own key is opened for its owner alone; without one, or without a vault, whoever left the team's model has none."""
    vault, clock, wire = Vault([generate_key()]), FrozenClock(), ScriptedTransport(answer_json(whole("Hello")), repeat=True)
    models = RouterModels(team(wire), vault=vault, settings=Settings(), transport=wire, clock=clock)
    sealed = vault.seal(Secret("sk-own"), owner="1", purpose="openrouter", now=clock.now())
    own = User(id=1, provider="openrouter", model="own/model", uses_shared_key=False)
    chosen = models.choose(Caller(user=own, sealed_keys={"openrouter": sealed}))
    assert chosen is not None
    await chosen.ask(ASKED, None, None)
    assert dict(wire.requests[-1].headers)["authorization"] == "Bearer sk-own"
    assert b'"model":"own/model"' in bytes(wire.requests[-1].body)  # type: ignore[arg-type]  # as above
    assert models.choose(Caller(user=own, sealed_keys={})) is None
    shared = models.choose(Caller(user=own, sealed_keys={}), shared=True)
    assert shared is not None
    await shared.ask(ASKED, None, None)
    assert dict(wire.requests[-1].headers)["authorization"] == "Bearer sk-team"
    without = RouterModels(None, vault=None, settings=Settings(), transport=wire, clock=clock)
    assert without.choose(Caller(user=own, sealed_keys={"openrouter": sealed})) is None
    assert without.choose(Caller(user=User(id=2), sealed_keys={})) is None
    for asked in (without.search("Ann", ""), without.check_key(own, "openrouter", "sk-own")):
        with pytest.raises(AssertionError):
            await asked


async def test_the_web_is_searched_with_the_teams_model() -> None:
    """The report comes with its sources, walled in for prompts."""
    cited = {"type": "url_citation", "url_citation": {"url": "https://acme.example", "title": "Acme"}}
    wire = ScriptedTransport(answer_json(whole("Acme grows.", annotations=[cited])))
    models = RouterModels(team(wire), vault=None, settings=Settings(), transport=wire, clock=FrozenClock())
    found = await models.search("Ann Lee, Acme", "What is new?")
    assert (found.text, [source.url for source in found.sources]) == ("Acme grows.", ["https://acme.example"])
    assert "Acme grows." in found.fenced


@pytest.mark.parametrize(
    ("left", "status", "verdict"), [(4.5, 200, "good"), (0, 200, "no_credit"), (0, 401, "wrong"), (0, 503, "unreachable")]
)
async def test_a_key_is_asked_about_and_only_a_good_one_is_sealed(left: float, status: int, verdict: str) -> None:
    """The provider's word decides; what is sealed opens for this user and purpose, and for no other verdict is anything kept."""
    vault, clock = Vault([generate_key()]), FrozenClock()
    wire = ScriptedTransport(answer_json({"data": {"limit_remaining": left}, "error": {"code": status}}, status=status))
    models = RouterModels(None, vault=vault, settings=Settings(), transport=wire, clock=clock)
    checked = await models.check_key(User(id=1), "openrouter", "sk-own")
    assert checked.verdict == verdict
    if verdict == "good":
        assert vault.open(str(checked.sealed), owner="1", purpose="openrouter", now=clock.now()).reveal() == "sk-own"
    else:
        assert not checked.sealed
