"""Support: a live deal in words, voice or a photo → what it is about, what to do, and a draft to send."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, get_args

import attrs
import msgspec

from dealquest.coach.casebook import MIN_QUALITY, Case, describe_case
from dealquest.coach.leads import FOLLOW_UP_AFTER
from dealquest.coach.memory import memory_summary, read_memory
from dealquest.coach.strategist import (
    Advice,
    DealFacts,
    Variant,
    advice_prompt,
    check_advice,
    facts_prompt,
    leaks,
    nameless_case,
    tidy,
    tidy_advice,
)

from .answering import MAX_ANSWER_CHARACTERS, ask_about_kept, clean_answer
from .asking import Step, ask, look, read_number, reason_of, usable_sources
from .effects import AskModel, Consult, Consulted, Failed, Line, Reported, SearchWeb, Source
from .home import stale_button
from .part import Answer, Part
from .rewards import memory_job
from .scene import OPEN_FOR, Flow, Scene
from .support_view import failed_buttons, show_advice, show_cases
from .values import Change, State, Turn

MIN_CHARACTERS = 10

Status: TypeAlias = Literal["answered", "offline", "failed", "waiting", "off_topic"]


@attrs.frozen(kw_only=True)
class Deal:
    """What the user gave, and what is known of it already.

    Attributes:
        parent: The session that this is a variant of, by its event.
        earlier: The advice that a variant starts from.
    """

    text: str
    input_type: Literal["text", "voice", "photo"]
    photo: Mapping[str, Any] | None = None
    variant: Variant = "first"
    parent: int | None = None
    facts: DealFacts | None = None
    research: str = ""
    sources: tuple[Source, ...] = ()
    earlier: Advice | None = None


@attrs.frozen(kw_only=True)
class Session:
    """A stored session; `output` and `facts` are empty where there are none."""

    update_id: int
    variant: Variant
    status: Status
    input_type: Literal["text", "voice", "photo"]
    input_text: str
    photo: Mapping[str, Any] | None = None
    output: Mapping[str, Any] = attrs.field(factory=dict)
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    research: str = ""
    sources: tuple[Source, ...] = ()
    lead_id: int | None = None
    is_closed: bool = False
    has_variants: bool = False


def open_support(scene: Scene, _: str = "") -> Turn:
    """Say what can be sent, and wait for it."""
    if scene.state.at == "answering" and scene.state.kept_answer is not None:
        return ask_about_kept(scene)
    note = scene.say("support.offline") if scene.offline else ""
    reply = scene.reply(scene.say("support.ask"), scene.say("support.ask_photo") if not scene.offline else "", note)
    return Turn(replies=(reply,), state=_waiting(scene))


def take_words(scene: Scene) -> Answer:
    """A deal in words, typed or spoken."""
    text = clean_answer(scene.event.text)
    if len(text) < MIN_CHARACTERS:
        return scene.stay(scene.reply(scene.say("support.too_short" if text else "support.blank")))
    if len(text) > MAX_ANSWER_CHARACTERS:
        return scene.too_long("support.too_long", text, MAX_ANSWER_CHARACTERS)
    return _advise_in_time(scene, Deal(text=text, input_type="voice" if scene.event.kind == "voice" else "text"))


def take_photo(scene: Scene) -> Answer:
    """A deal on a photo; its caption counts as words."""
    if scene.offline or scene.event.media is None:
        return scene.stay(scene.reply(scene.say("support.photo_offline")))
    text = clean_answer(scene.event.text)[:MAX_ANSWER_CHARACTERS]
    return _advise_in_time(scene, Deal(text=text, input_type="photo", photo=scene.event.media))


def press(scene: Scene, words: Sequence[str]) -> Answer | None:
    """The buttons under an answer; `ref` is the event that was answered."""
    match words:
        case [("retry" | "again" | "shorter" | "bolder" | "done" | "bad" | "drop") as wish, word] if (ref := read_number(word)) is not None:
            return _with_session(scene, wish, ref)
    return None


def press_go(scene: Scene, words: Sequence[str]) -> Answer | None:
    """The way in from a button."""
    return open_support(scene) if list(words) == ["support"] else None


def advise(scene: Scene, deal: Deal) -> Flow:
    """Sort the deal, find what is like it, and ask for advice."""
    if scene.offline:
        return (yield from _offline(scene, deal))
    facts = deal.facts or (yield from _sort(scene, deal))
    if isinstance(facts, Failed):
        return _keep(scene, deal, facts)
    deal = attrs.evolve(deal, facts=facts)
    if not facts.is_deal:
        return Turn(replies=(scene.reply(scene.say("support.off_topic")),), state=_waiting(scene), changes=(_saved(deal, "off_topic"),))
    query = " ".join([*facts.search_words, facts.photo_text, deal.text])
    cases = yield from look(list[Case], "look_casebook", query=query, for_persona=facts.persona_type, for_scenario=facts.scenario_type)
    if isinstance(cases, Failed):
        return _keep(scene, deal, cases)
    deal, web_note = yield from _research(scene, deal, facts)
    consulted = yield Consult(query=query)
    notes = consulted if isinstance(consulted, Consulted) else Consulted()
    remembered = yield from look(dict[str, Any], "look_remembered")
    advice = yield from ask(
        AskModel(
            purpose="support",
            system=advice_prompt(scene.fence, language=scene.view.user.language, variant=deal.variant),
            lines=(Line("user", _question(scene, deal, cases or [], notes, remembered)),),
            photo=deal.photo,
        ),
        Advice,
        lambda given: check_advice(given, cases=cases or [], fence=scene.fence, earlier=deal.earlier, variant=deal.variant),
    )
    if isinstance(advice, Failed):
        return _keep(scene, deal, advice)
    advice = tidy_advice(advice, headings=notes.headings)
    used = next((case for case in cases or [] if case.id == advice.casebook_match.case_id), None)
    has_lead = bool(facts.name or facts.company)
    replies = show_advice(scene, advice, case=used, sources=deal.sources, note=web_note, ref=scene.event.update_id, has_lead=has_lead)
    changes = [_saved(deal, "answered", output=advice, provider=scene.view.user.provider), memory_job(scene)]
    if has_lead:
        changes.append(_lead_of(scene, deal, facts, advice))
    return Turn(replies=replies, state=_waiting(scene), changes=tuple(changes))


def _advise_in_time(scene: Scene, deal: Deal) -> Answer:
    """What comes a day late may not be about a deal any more, so it is asked first."""
    if scene.state.since is not None and scene.now - scene.state.since > OPEN_FOR:
        reply = scene.reply(scene.say("support.late"), buttons=failed_buttons(scene, scene.event.update_id))
        return Turn(replies=(reply,), state=_waiting(scene), changes=(_saved(deal, "waiting"),))
    return advise(scene, deal)


def _sort(scene: Scene, deal: Deal) -> Step[DealFacts | Failed]:
    facts = yield from ask(
        AskModel(
            purpose="support.sort",
            system=facts_prompt(scene.fence),
            lines=(Line("user", scene.fenced(("notes", deal.text or scene.say("support.photo_only").plain))),),
            photo=deal.photo,
            temperature=0.0,
        ),
        DealFacts,
        lambda given: leaks(given, scene.fence),
    )
    if isinstance(facts, Failed):
        return facts
    tidied: DealFacts = tidy(facts)
    # A name goes into prompts, buttons and searches: one short line of it.
    short: dict[str, Any] = {
        name: " ".join(getattr(tidied, name).split())[:100] for name in ("name", "title", "company", "industry", "seniority")
    }
    words, others = [word[:60] for word in tidied.search_words[:8]], [name[:100] for name in tidied.other_names[:20]]
    return attrs.evolve(tidied, search_words=words, other_names=others, photo_text=tidied.photo_text[:2000], **short)


def _research(scene: Scene, deal: Deal, facts: DealFacts) -> Step[tuple[Deal, str]]:
    """Look the prospect up where the user asked for it; what could not be had is said, and stops nothing."""
    if not facts.wants_research or deal.research:
        return deal, ""
    prospect = ", ".join(part for part in (facts.name, facts.title, facts.company) if part)
    if not prospect:
        return deal, "support.web_whom"
    if not scene.house.searches:
        return deal, "support.web_off"
    found = yield SearchWeb(prospect=prospect)
    if not isinstance(found, Reported):
        return deal, "support.web_failed"
    return attrs.evolve(deal, research=found.text[:8000], sources=usable_sources(found.sources)), ""


def _question(scene: Scene, deal: Deal, cases: Sequence[Case], notes: Consulted, remembered: Mapping[str, Any] | Failed | None) -> str:
    """All that the strategist may use; every part was written by others, so every part is fenced."""
    parts = [("notes of the user", deal.text or scene.say("support.photo_only").plain)]
    if deal.facts is not None and deal.facts.photo_text:
        parts.append(("text on the photo", deal.facts.photo_text))
    parts += [(f"earlier case {case.id}", describe_case(case)) for case in cases]
    if deal.research:
        listed = "\n".join(f"{place}. {source.title} {source.url}" for place, source in enumerate(deal.sources, 1))
        parts.append(("web research", f"{deal.research}\n\nSources:\n{listed}"))
    if notes.text:
        parts.append(("notes of the team", notes.text))
    if not isinstance(remembered, Failed) and (summary := memory_summary(read_memory(remembered))):
        parts.append(("what is remembered of the user", summary))
    if deal.earlier is not None:
        parts.append(("your earlier draft", deal.earlier.draft.message))
    return scene.fenced(*parts) + "\n\nAdvise on the deal in the notes of the user."


def _offline(scene: Scene, deal: Deal) -> Flow:
    cases = yield from look(list[Case], "look_casebook", query=deal.text)
    if isinstance(cases, Failed):
        return _keep(scene, deal, cases)
    changes = (_saved(deal, "offline", provider="offline"), memory_job(scene))
    return Turn(replies=show_cases(scene, cases or []), state=_waiting(scene), changes=changes)


def _with_session(scene: Scene, wish: str, ref: int) -> Flow:
    """What a button asks of a session of this user; of any other it finds none."""
    session = yield from look(Session, "look_session", for_source=scene.event.source, session=ref)
    if isinstance(session, Failed):
        return scene.stay(attrs.evolve(scene.reply(scene.say("support.not_now", reason=reason_of(scene, session))), edit=False))
    is_unanswered = session is not None and session.status in {"failed", "waiting"}
    match wish:
        case "retry" if session is not None and is_unanswered and not session.is_closed and not session.has_variants:
            return (yield from advise(scene, _deal_of(session, session.variant)))
        case "drop" if session is not None and is_unanswered and not session.is_closed:
            return Turn(
                replies=(scene.reply(scene.say("support.dropped")),), state=_idle(scene), changes=(_closed(scene, ref, "negative"),)
            )
        case "again" | "shorter" | "bolder" if session is not None and session.status == "answered":
            variant: Variant = next(known for known in get_args(Variant) if known == wish)
            return (yield from advise(scene, _deal_of(session, variant)))
        case "done" | "bad" if session is not None and session.status == "answered" and not session.is_closed:
            return _finish(scene, session, is_good=wish == "done")
    return stale_button(scene)


def _finish(scene: Scene, session: Session, *, is_good: bool) -> Turn:
    advice, facts = _read(Advice, session.output), _read(DealFacts, session.facts)
    is_first = session.variant == "first" and not session.has_variants
    kept = None
    if is_good and is_first and advice is not None and facts is not None and advice.quality_score >= MIN_QUALITY:
        kept = nameless_case(advice, facts, user_name=scene.view.user.first_name)
    text = scene.say("support.bad" if not is_good else "support.done" if kept is None else "support.done_kept")
    # A message of its own: the answer itself stays readable.
    reply = attrs.evolve(scene.reply(text), edit=False)
    change = _closed(scene, session.update_id, "positive" if is_good else "negative", kept)
    return Turn(replies=(reply,), state=_idle(scene), changes=(change,))


def _deal_of(session: Session, variant: Variant) -> Deal:
    return Deal(
        text=session.input_text,
        input_type=session.input_type,
        photo=session.photo,
        variant=variant,
        parent=session.update_id,
        facts=_read(DealFacts, session.facts),
        research=session.research,
        sources=session.sources,
        earlier=_read(Advice, session.output),
    )


def _keep(scene: Scene, deal: Deal, failure: Failed) -> Turn:
    """Nothing the user gave is lost: it is stored, and a button tries again."""
    text = scene.say("support.failed", reason=reason_of(scene, failure))
    reply = attrs.evolve(scene.reply(text, buttons=failed_buttons(scene, scene.event.update_id)), edit=False)
    return Turn(replies=(reply,), state=_waiting(scene), changes=(_saved(deal, "failed", output=deal.earlier),))


def _saved(deal: Deal, status: Status, *, output: Advice | None = None, provider: str = "") -> Change:
    values = {
        "variant": deal.variant,
        "parent": deal.parent,
        "status": status,
        "input_type": deal.input_type,
        "input_text": deal.text,
        "photo": deal.photo,
        "output": output,
        "provider": provider,
        "facts": deal.facts,
        "research": deal.research,
        "sources": deal.sources,
    }
    return Change(kind="save_session", values=msgspec.to_builtins(values))


def _lead_of(scene: Scene, deal: Deal, facts: DealFacts, advice: Advice) -> Change:
    values = {
        "name": facts.name,
        "title": facts.title,
        "company": facts.company,
        "analysis": advice.analysis,
        "strategy": advice.strategy,
        "tactics": advice.engagement_tactics,
        "draft": advice.draft,
        "input_type": deal.input_type,
        "context": deal.text or facts.photo_text,
        "photo": deal.photo,
        "research": deal.research,
        "sources": deal.sources,
        "next_at": scene.now + FOLLOW_UP_AFTER,
        "enrich": deal.variant == "first",
    }
    return Change(kind="keep_lead", values=msgspec.to_builtins(values))


def _closed(scene: Scene, ref: int, feedback: str, kept: object = None) -> Change:
    values = {"session": ref, "feedback": feedback, "language": scene.view.user.language, "case": kept}
    return Change(kind="close_session", values=msgspec.to_builtins(values))


def _read(wanted: type[Any], stored: Mapping[str, Any]) -> Any:
    """A stored object; None where there is none, or an older version wrote it in another shape."""
    try:
        return msgspec.convert(stored, wanted)
    except msgspec.ValidationError:
        return None


def _waiting(scene: Scene) -> State:
    return attrs.evolve(scene.state, at="support", kept_answer=None, since=scene.now)


def _idle(scene: Scene) -> State:
    return attrs.evolve(scene.state, at="idle", kept_answer=None, since=None) if scene.state.at == "support" else scene.state


PART = Part(
    commands={"support": open_support},
    buttons={"support": press, "go": press_go},
    words={"support": take_words},
    photos={"support": take_photo},
)
