"""Settings: whose model, which one, language, time zone. What is known of the user is in `my_data`."""

import re
from collections.abc import Sequence
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import attrs

from dealquest.coach.progress import level_of, rank_of

from .catalogue import catalogue, languages
from .keys import PROVIDERS, ask_for_key, provider_rows, without_entering
from .my_data import back_to_settings, press_data
from .part import Answer, Part
from .scene import Rows, Scene
from .text import Text, join
from .values import Button, Change, Entering, Reply, Turn

MODELS = {
    "openrouter": ("openai/gpt-oss-120b", "moonshotai/kimi-k2.5", "google/gemini-flash", "deepseek/deepseek-r1"),
    "anthropic": ("claude-sonnet-4-6", "claude-sonnet-5"),
}
"""What is offered to the owner of a key; any other valid name may be typed."""

TIME_ZONES = ("UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Kolkata", "Asia/Singapore")

_MODEL_NAME = re.compile(r"~?[A-Za-z0-9][A-Za-z0-9._:/@-]{1,99}")


def has_own_key(scene: Scene) -> bool:
    """Whether this user's answers go to a key of their own."""
    user = scene.view.user
    return not user.uses_shared_key and user.provider in user.key_providers


def show_settings(scene: Scene, *, head: Text | str = "") -> Turn:
    """What is set, and what can be changed here."""
    user, house = scene.view.user, scene.house
    level = level_of(user.total_xp)
    lines = (
        scene.say("settings.title"),
        scene.say("settings.model", model=_model(scene)),
        scene.say("settings.xp", xp=user.total_xp, level=level, rank=rank_of(level)),
        scene.say("settings.language", language=scene.texts.templates["language.name"]),
        scene.say("settings.time_zone", zone=user.time_zone),
    )
    rows: Rows = ()
    if house.shared_model or house.stores_keys or user.key_providers:
        rows += ((scene.button("switch_provider", "settings:switch_provider"),),)
    if house.stores_keys:
        rows += ((scene.button("update_key", "settings:update_key"),),)
    if has_own_key(scene):
        rows += ((scene.button("change_model", "settings:change_model"),),)
    rows += ((scene.button("language", "settings:language"), scene.button("time_zone", "settings:time_zone")),)
    rows += ((scene.button("my_memory", "settings:memory"), scene.button("my_data", "settings:export")),)
    if user.key_providers:
        rows += ((scene.button("remove_keys", "settings:remove_keys"),),)
    rows += ((scene.button("reset", "settings:reset"), scene.button("delete", "settings:delete")),)
    rows += ((scene.button("close", "settings:close"),),)
    return scene.stay(scene.reply(head, join(lines), buttons=rows))


def read_model(scene: Scene, name: str) -> Turn:
    """A model's name that was typed."""
    if not _MODEL_NAME.fullmatch(name) or ("/" in name) != (scene.view.user.provider == "openrouter"):
        return scene.stay(scene.reply(scene.say(f"settings.model_shape_{scene.view.user.provider}"), buttons=back_to_settings(scene)))
    return _chose_model(scene, name)


def read_time_zone(scene: Scene, text: str) -> Turn:
    """A time zone that was typed: its name, or a city in it."""
    wanted = text.strip().replace(" ", "_").casefold()
    zones = _zones()
    found = [zone for zone in zones if zone.casefold() == wanted] or [zone for zone in zones if zone.casefold().endswith("/" + wanted)]
    if len(found) == 1:
        return _chose_time_zone(scene, found[0])
    if found:
        rows = tuple((Button(zone, f"zone:{zone}"),) for zone in found[:6])
        return scene.stay(scene.reply(scene.say("settings.zone_several"), buttons=(*rows, *back_to_settings(scene))))
    return scene.stay(scene.reply(scene.say("settings.zone_unknown", text=text[:60]), buttons=back_to_settings(scene)))


def _press(scene: Scene, words: Sequence[str]) -> Answer | None:
    match words:
        case ["back"]:
            return show_settings(scene)
        case ["leave"]:
            return scene.stay(scene.reply(scene.say("entry.left")))
        case ["close"]:
            return scene.stay(scene.reply(scene.say("settings.closed")))
        case ["switch_provider"]:
            return _ask_provider(scene)
        case ["update_key"] if scene.house.stores_keys:
            return _update_key(scene)
        case ["change_model"] if has_own_key(scene):
            rows = tuple((Button(name, f"model:{name}"),) for name in MODELS[scene.view.user.provider])
            reply = scene.reply(scene.say("settings.which_model", model=_model(scene)), buttons=(*rows, *back_to_settings(scene)))
            return Turn(replies=(reply,), state=attrs.evolve(scene.state, entering=Entering(what="model", since=scene.now)))
        case ["language"]:
            rows = tuple((Button(name, f"language:{tag}"),) for tag, name in languages().items())
            return scene.stay(scene.reply(scene.say("settings.which_language"), buttons=(*rows, *back_to_settings(scene))))
        case ["time_zone"]:
            rows = tuple((Button(zone, f"zone:{zone}"),) for zone in TIME_ZONES)
            reply = scene.reply(scene.say("settings.which_zone", zone=scene.view.user.time_zone), buttons=(*rows, *back_to_settings(scene)))
            return Turn(replies=(reply,), state=attrs.evolve(scene.state, entering=Entering(what="time_zone", since=scene.now)))
        case ["remove_keys"] if scene.view.user.key_providers:
            key = "settings.keys_removed_shared" if scene.house.shared_model else "settings.keys_removed"
            return _changed(scene, scene.say(key), Change(kind="remove_keys"))
    return press_data(scene, words)


def _ask_provider(scene: Scene) -> Turn | None:
    user, house = scene.view.user, scene.house
    rows: Rows = ()
    if house.shared_model and not user.uses_shared_key:
        rows += ((scene.button("use_team", "switch:team", model=house.shared_model),),)
    for word, provider in PROVIDERS.items():
        if (house.stores_keys or provider in user.key_providers) and not (has_own_key(scene) and user.provider == provider):
            rows += ((scene.button(f"provider_{provider}", f"switch:{word}"),),)
    if not scene.offline:
        rows += ((scene.button("setup_offline", "switch:offline"),),)
    return scene.stay(scene.reply(scene.say("settings.which_provider", model=_model(scene)), buttons=(*rows, *back_to_settings(scene))))


def _switch(scene: Scene, words: Sequence[str]) -> Turn | None:
    match words:
        case ["team"] if scene.house.shared_model:
            return _changed(scene, scene.say("setup.done_auto", model=scene.house.shared_model), Change(kind="use_shared_key"))
        case ["offline"]:
            return _changed(scene, scene.say("setup.done_offline"), Change(kind="use_no_model"))
        case [word] if word in PROVIDERS:
            provider = PROVIDERS[word]
            if provider in scene.view.user.key_providers:
                words_ = scene.say("settings.switched", provider=scene.texts.label(f"provider.{provider}"))
                return _changed(scene, words_, Change(kind="use_own_key", values={"provider": provider}))
            return ask_for_key(scene, provider) if scene.house.stores_keys else None
    return None


def _update_key(scene: Scene) -> Turn:
    """For the provider in use; who uses none says whose key it is."""
    for provider in PROVIDERS.values():
        if has_own_key(scene) and scene.view.user.provider == provider:
            return ask_for_key(scene, provider)
    return scene.stay(scene.reply(scene.say("setup.whose"), buttons=(*provider_rows(scene), *back_to_settings(scene))))


def _choose_model(scene: Scene, words: Sequence[str]) -> Turn | None:
    name = ":".join(words)
    if not has_own_key(scene) or name not in MODELS[scene.view.user.provider]:
        return None
    return _chose_model(scene, name)


def _chose_model(scene: Scene, name: str) -> Turn:
    return _changed(scene, scene.say("settings.model_chosen", model=name), Change(kind="choose_model", values={"model": name}))


def _choose_language(scene: Scene, words: Sequence[str]) -> Turn | None:
    if len(words) != 1 or words[0] not in languages():
        return None
    texts = catalogue(words[0])
    spoken = attrs.evolve(scene, texts=texts)
    notes = [spoken.say("settings.language_chosen", language=texts.templates["language.name"])]
    if scene.pack.language != words[0]:
        notes.append(spoken.say("settings.pack_language", language=catalogue(scene.pack.language).templates["language.name"]))
    return _changed(spoken, join(notes), Change(kind="set_language", values={"language": words[0]}))


@cache  # hundreds of files are looked at
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _choose_time_zone(scene: Scene, words: Sequence[str]) -> Turn | None:
    return _chose_time_zone(scene, words[0]) if len(words) == 1 and words[0] in _zones() else None


def _chose_time_zone(scene: Scene, zone: str) -> Turn:
    there = scene.now.astimezone(ZoneInfo(zone)).strftime("%H:%M")
    change = Change(kind="set_time_zone", values={"time_zone": zone})
    return _changed(scene, scene.say("settings.zone_chosen", zone=zone, time=there), change)


def _changed(scene: Scene, words: Text, change: Change) -> Turn:
    rows = ((scene.button("settings", "settings:back"),),)
    reply: Reply = scene.reply(words, buttons=rows)
    return Turn(replies=(reply,), state=without_entering(scene.state), changes=(change,))


def _model(scene: Scene) -> str:
    """What scores this user's answers, in words."""
    user = scene.view.user
    if has_own_key(scene):
        provider = scene.texts.label(f"provider.{user.provider}")
        return scene.texts.label("settings.own_model", provider=provider, model=user.model or scene.texts.label("settings.default_model"))
    if user.uses_shared_key and scene.house.shared_model:
        return scene.texts.label("settings.team_model", model=scene.house.shared_model)
    return scene.texts.label("settings.no_model")


SETTINGS = Part(
    commands={"settings": lambda scene, _: show_settings(scene)},
    buttons={
        "settings": _press,
        "switch": _switch,
        "model": _choose_model,
        "language": _choose_language,
        "zone": _choose_time_zone,
    },
)
