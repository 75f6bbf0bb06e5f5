"""Keys that users type: asked for, checked, sealed and wiped; and keys that were typed where none was asked for.

A key leaves this file only inside `CheckKey`. Whatever a text with a key was meant to be, it is never scored, never
stored as words and never sent to a model.
"""

import re
import unicodedata
from typing import Literal, TypeAlias

import attrs

from .asking import reason_of
from .effects import CheckKey, Failed, KeyChecked
from .scene import Flow, Rows, Scene
from .text import Text
from .values import Change, Entering, Erase, Reply, State, Turn

Provider: TypeAlias = Literal["openrouter", "anthropic"]

PROVIDERS: dict[str, Provider] = {"openrouter": "openrouter", "claude": "anthropic"}
"""Providers by their word in button data."""

MAX_KEY_CHARACTERS = 512

_KEY = re.compile(r"(?<![A-Za-z0-9])sk-(?:(?:or|ant)-[A-Za-z0-9_-]{6,}|[A-Za-z0-9_-]{20,})", re.IGNORECASE)
_PLAIN_KEY = re.compile(rf"[\x21-\x7e]{{8,{MAX_KEY_CHARACTERS}}}")
_PREFIXES: dict[str, Provider] = {"sk-or-": "openrouter", "sk-ant-": "anthropic"}


def holds_key(text: str) -> bool:
    r"""Whether a text looks as if it held a provider's key, also one that was broken by invisible characters.

    >>> holds_key("mine is sk-or-v1-0123456789abcdef"), holds_key("keys begin with sk-or-... or sk-ant-...")
    (True, False)
    """
    return _KEY.search("".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cc"})) is not None


def provider_rows(scene: Scene) -> Rows:
    """Whose key it shall be."""
    return tuple((scene.button(f"provider_{provider}", f"provider:{word}"),) for word, provider in PROVIDERS.items())


def ask_for_key(scene: Scene, provider: Provider) -> Turn:
    """Say where a key is got, and wait for it."""
    reply = scene.reply(scene.say(f"key.ask_{provider}"), scene.say("key.ask"), buttons=_way_out(scene))
    return Turn(replies=(reply,), state=_entering(scene, provider))


def read_key(scene: Scene, entering: Entering) -> Flow:
    """What was typed after a key was asked for: a key, until the contrary is shown."""
    provider = entering.provider or "openrouter"
    if scene.event.kind != "text":
        return _wiped(scene, scene.say("key.text_only"), state=scene.state)
    key = scene.event.text.strip()
    if found := _KEY.search(key):
        key = found.group()  # "my key is sk-or-...": the words around it were for us
    if not _PLAIN_KEY.fullmatch(key):
        return _wiped(scene, scene.say("key.shape"), state=scene.state)
    of_prefix = next((owner for prefix, owner in _PREFIXES.items() if key.startswith(prefix)), provider)
    if of_prefix != provider:
        words = scene.say("key.of_other", wanted=_name(scene, provider), found=_name(scene, of_prefix))
        return _wiped(scene, words, state=scene.state, rows=(*provider_rows(scene), *_way_out(scene)))
    checked = yield CheckKey(provider=provider, key=key)
    if isinstance(checked, Failed):
        return _wiped(scene, scene.say("key.failed", reason=reason_of(scene, checked)), state=scene.state)
    assert isinstance(checked, KeyChecked)
    if checked.verdict != "good":
        return _wiped(scene, scene.say(f"key.{checked.verdict}", provider=_name(scene, provider)), state=scene.state)
    turn = _wiped(scene, scene.say("key.stored", provider=_name(scene, provider)), state=without_entering(scene.state), rows=_way_on(scene))
    return attrs.evolve(turn, changes=(Change(kind="save_key", values={"provider": provider, "sealed_key": checked.sealed}),))


def refuse_key(scene: Scene) -> Turn:
    """A key where none was asked for: wipe it and say what happened; whatever is open stays open."""
    rows: Rows = ((scene.button("setup_custom", "setup:custom"),),) if scene.house.stores_keys else ()
    return _wiped(scene, scene.say("key.unasked"), state=scene.state, rows=rows)


def without_entering(state: State) -> State:
    """The same conversation with nothing asked for."""
    return attrs.evolve(state, entering=None)


def _entering(scene: Scene, provider: Provider) -> State:
    return attrs.evolve(scene.state, entering=Entering(what="key", provider=provider, since=scene.now))


def _wiped(scene: Scene, words: Text, *, state: State, rows: Rows | None = None) -> Turn:
    """A reply that has the channel delete the message, and a turn that leaves none of its words in the inbox."""
    message_id = scene.event.message_id
    otherwise = scene.say("key.not_erased")
    reply = Reply(
        text=words if message_id is not None else words + "\n\n" + otherwise,
        buttons=_way_out(scene) if rows is None else rows,
        erase=None if message_id is None else Erase(message_id=message_id, otherwise=otherwise),
    )
    return Turn(replies=(reply,), state=state, forget_text=True)


def _name(scene: Scene, provider: Provider) -> str:
    return scene.texts.label(f"provider.{provider}")


def _way_out(scene: Scene) -> Rows:
    return ((scene.button("cancel", "settings:leave"),),)


def _way_on(scene: Scene) -> Rows:
    return (
        (scene.button("next_lesson", "go:learn"), scene.button("practise", "go:train")),
        (scene.button("have_deal", "go:support"), scene.button("settings", "settings:back")),
    )
