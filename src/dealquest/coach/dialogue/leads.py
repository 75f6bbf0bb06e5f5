"""Leads: the list, one lead with its plan, status, notes and edits, and what is deleted.

Every button names a lead by its number, and a number is a wish: each look and each change is bound to the user whose
turn it is, so a lead of somebody else is a lead that does not exist.
"""

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import msgspec

from dealquest.coach.leads import CLOSED, FOLLOW_UP_AFTER, STATUSES, Lead, LeadPage, Status, parse_edit

from .answering import MAX_ANSWER_CHARACTERS, ask_about_kept, clean_answer
from .asking import look, read_number, reason_of
from .effects import Failed
from .home import stale_button
from .keys import without_entering
from .lead_talk import advise_lead, comment_on_photo, comment_on_words, take_context, write_draft
from .lead_view import confirm_delete, label_of, show_draft, show_lead, show_list, show_plan, wait_buttons
from .part import Answer, Part, finish
from .scene import OPEN_FOR, Flow, Scene
from .values import Change, Entering, Reply, State, Turn

PER_PAGE = 5

LeadFlow = Callable[[Scene, Lead], Answer]


def list_leads(scene: Scene, _: str = "", *, page: int = 0) -> Flow:
    """Counts by status, and five leads a page."""
    found = yield from look(LeadPage, "look_leads", page=page, per_page=PER_PAGE, as_of=scene.now.isoformat())
    if not isinstance(found, LeadPage):
        return _not_now(scene, found)
    if page and not found.rows:
        return (yield from list_leads(scene))
    return scene.stay(show_list(scene, found, page=page, per_page=PER_PAGE))


def press(scene: Scene, words: Sequence[str]) -> Answer | None:
    """The buttons of leads; each of them leaves an open question about a lead."""
    scene = _quiet(scene)
    match words:
        case ["back"]:
            return list_leads(scene)
        case ["page", word] if word == "0" or read_number(word) is not None:
            return list_leads(scene, page=min(int(word), 1_000))
        case ["session", word] if (ref := read_number(word)) is not None:
            return _lead_of_session(scene, ref)
        case [action, word, *rest] if (lead_id := read_number(word)) is not None:
            wanted = _ACTIONS.get(action) if not rest else _with_rest(action, rest)
            return None if wanted is None else with_lead(scene, lead_id, wanted)
    return None


def press_go(scene: Scene, words: Sequence[str]) -> Answer | None:
    """The way in from a button."""
    return list_leads(scene) if list(words) == ["leads"] else None


def with_lead(scene: Scene, lead_id: int, wanted: LeadFlow) -> Flow:
    """Do something with a lead of this user."""
    lead = yield from look(Lead, "look_lead", lead=lead_id)
    if not isinstance(lead, Lead):
        return _gone(scene) if lead is None else _not_now(scene, lead)
    return (yield from finish(wanted(scene, lead)))


def take_words(scene: Scene) -> Answer:
    """Words for the lead that was asked about: an update, an edit, a note, or the text of a post."""
    state = scene.state
    # What is written a day later is not taken for what was asked then.
    if state.lead_id is None or (state.since is not None and scene.now - state.since > OPEN_FOR):
        return Turn(replies=(scene.reply(scene.say("lead.late")),), state=_idle(scene))
    text = clean_answer(scene.event.text)
    if not text:
        return scene.stay(scene.reply(scene.say("lead.blank")))
    if len(text) > MAX_ANSWER_CHARACTERS:
        return scene.too_long("lead.too_long", text, MAX_ANSWER_CHARACTERS)
    takers: dict[str, LeadFlow] = {
        "lead_context": lambda at, lead: take_context(at, lead, text),
        "lead_screenshot": lambda at, lead: comment_on_words(at, lead, text),
        "lead_edit": lambda at, lead: _edit(at, lead, text, again=state),
        "lead_note": lambda at, lead: _note(at, lead, text),
    }
    return _take(scene, state.lead_id, takers[state.at])


def take_photo(scene: Scene) -> Answer:
    """A photo of a prospect's post."""
    state = scene.state
    if state.lead_id is None or scene.event.media is None:
        return Turn(replies=(scene.reply(scene.say("lead.late")),), state=_idle(scene))
    return _take(scene, state.lead_id, comment_on_photo)


def _take(scene: Scene, lead_id: int, wanted: LeadFlow) -> Flow:
    """Close the question about a lead with its answer; it stays open while storage does not answer."""
    lead = yield from look(Lead, "look_lead", lead=lead_id)
    if isinstance(lead, Failed):
        return _not_now(scene, lead)
    return _gone(_quiet(scene)) if lead is None else (yield from finish(wanted(_quiet(scene), lead)))


def _lead_of_session(scene: Scene, ref: int) -> Flow:
    lead = yield from look(Lead, "look_lead_of_session", for_source=scene.event.source, session=ref)
    if not isinstance(lead, Lead):
        return _gone(scene) if lead is None else _not_now(scene, lead)
    return scene.stay(attrs.evolve(show_lead(scene, lead), edit=False))


def _with_rest(action: str, rest: Sequence[str]) -> LeadFlow | None:
    match action, rest:
        case "status", [status] if status in STATUSES:
            return lambda scene, lead: _set_status(scene, lead, status)
        case "step", [word, ("done" | "open") as wish] if word == "0" or read_number(word) is not None:
            return lambda scene, lead: _mark_step(scene, lead, int(word), is_done=wish == "done")
    return None


def _set_status(scene: Scene, lead: Lead, status: Status) -> Turn:
    next_at = None if status in CLOSED else scene.now + FOLLOW_UP_AFTER
    changed = attrs.evolve(lead, status=status, next_followup=next_at)
    return _changed(scene, show_lead(scene, changed), "set_lead_status", lead=lead.id, status=status, at=scene.now, next_at=next_at)


def _mark_step(scene: Scene, lead: Lead, place: int, *, is_done: bool) -> Turn:
    if place >= len(lead.engagement_plan):
        return stale_button(scene)
    steps = list(lead.engagement_plan)
    steps[place] = attrs.evolve(steps[place], status="done" if is_done else "pending")
    changed = attrs.evolve(lead, engagement_plan=tuple(steps))
    return _changed(scene, show_plan(scene, changed), "mark_lead_step", lead=lead.id, step=place, done=is_done, at=scene.now)


def _plan(scene: Scene, lead: Lead) -> Turn:
    """The plan; where there is none yet, have it made."""
    if lead.engagement_plan:
        return scene.stay(show_plan(scene, lead))
    if scene.offline:
        return scene.stay(scene.reply(scene.say("lead.no_model"), buttons=((scene.button("lead_back_to", f"lead:view:{lead.id}"),),)))
    reply = scene.reply(scene.say("lead.plan_coming"), buttons=((scene.button("lead_refresh", f"lead:plan:{lead.id}"),),))
    return _changed(scene, reply, "start_job", kind="enrich_lead", key=f"enrich:{lead.id}", payload={"lead_id": lead.id})


def _edit(scene: Scene, lead: Lead, text: str, *, again: State) -> Turn:
    fields = parse_edit(text)
    if not fields:
        return Turn(
            replies=(scene.reply(scene.say("lead.edit_how", label=label_of(scene, lead)), buttons=wait_buttons(scene, lead)),), state=again
        )
    changed: Lead = attrs.evolve(lead, **fields)  # type: ignore[arg-type]  # names of text fields only, see parse_edit
    reply = scene.reply(scene.say("lead.edited", label=changed.label), buttons=((scene.button("lead_back_to", f"lead:view:{lead.id}"),),))
    return _changed(scene, reply, "edit_lead", lead=lead.id, **fields)


def _note(scene: Scene, lead: Lead, text: str) -> Turn:
    reply = scene.reply(
        scene.say("lead.noted", label=label_of(scene, lead)), buttons=((scene.button("lead_back_to", f"lead:view:{lead.id}"),),)
    )
    return _changed(scene, reply, "note_lead", lead=lead.id, text=text)


def _ask_delete(scene: Scene, lead: Lead) -> Turn:
    entering = Entering(what="delete_lead", since=scene.now, lead_id=lead.id)
    return Turn(replies=(confirm_delete(scene, lead),), state=attrs.evolve(scene.state, entering=entering))


def confirm(scene: Scene, words: Sequence[str]) -> Answer | None:
    """The yes to deleting, as the very next press after the question about this lead."""
    entering = scene.state.entering
    if entering is None or entering.what != "delete_lead" or list(words) != [str(entering.lead_id)]:
        return None
    answered = attrs.evolve(scene, view=attrs.evolve(scene.view, state=without_entering(scene.state)))
    return None if entering.lead_id is None else with_lead(_quiet(answered), entering.lead_id, _delete)


def _delete(scene: Scene, lead: Lead) -> Turn:
    reply = scene.reply(scene.say("lead.deleted", label=label_of(scene, lead)), buttons=((scene.button("leads", "lead:back"),),))
    return _changed(scene, reply, "delete_lead", lead=lead.id)


def _wait_for(at: str, key: str) -> LeadFlow:
    """Ask for words or a photo, and remember for which lead."""

    def wait(scene: Scene, lead: Lead) -> Turn:
        if scene.state.at == "answering" and scene.state.kept_answer is not None:
            return ask_about_kept(scene)
        reply = attrs.evolve(scene.reply(scene.say(key, label=label_of(scene, lead)), buttons=wait_buttons(scene, lead)), edit=False)
        state: State = attrs.evolve(scene.state, at=at, kept_answer=None, since=scene.now, lead_id=lead.id)  # type: ignore[arg-type]  # one of ours
        return Turn(replies=(reply,), state=state)

    return wait


def _shown(view: Callable[[Scene, Lead], Reply]) -> LeadFlow:
    return lambda scene, lead: scene.stay(view(scene, lead))


def _changed(scene: Scene, reply: Reply, kind: str, /, **values: Any) -> Turn:
    return Turn(replies=(reply,), state=scene.state, changes=(Change(kind=kind, values=msgspec.to_builtins(values)),))


def _gone(scene: Scene) -> Turn:
    return scene.stay(scene.reply(scene.say("lead.gone"), buttons=((scene.button("leads", "lead:back"),),)))


def _not_now(scene: Scene, failure: Failed | None) -> Turn:
    reason = reason_of(scene, failure) if failure is not None else ""
    return scene.stay(attrs.evolve(scene.reply(scene.say("lead.not_now", reason=reason)), edit=False))


def _quiet(scene: Scene) -> Scene:
    """The same scene without an open question about a lead."""
    return attrs.evolve(scene, view=attrs.evolve(scene.view, state=_idle(scene)))


def _idle(scene: Scene) -> State:
    state = scene.state
    return attrs.evolve(state, at="idle", since=None, lead_id=None) if state.at.startswith("lead_") else state


_ACTIONS: dict[str, LeadFlow] = {
    "view": _shown(show_lead),
    "draft": _shown(show_draft),
    "delete": _ask_delete,
    "plan": _plan,
    "advice": advise_lead,
    "new_draft": write_draft,
    "context": _wait_for("lead_context", "lead.ask_context"),
    "screenshot": _wait_for("lead_screenshot", "lead.ask_screenshot"),
    "edit": _wait_for("lead_edit", "lead.edit_how"),
    "note": _wait_for("lead_note", "lead.ask_note"),
}

PART = Part(
    commands={"leads": list_leads},
    buttons={"lead": press, "confirm_delete_lead": confirm, "go": press_go},
    words=dict.fromkeys(("lead_context", "lead_screenshot", "lead_edit", "lead_note"), take_words),
    photos={"lead_screenshot": take_photo},
)
