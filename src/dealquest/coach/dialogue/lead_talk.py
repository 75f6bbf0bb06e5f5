"""What a model says about a lead: advice on what is new, the next message, comments on a post; and what is done later.

A model that fails costs nothing that the user gave: what they wrote is kept in the lead's history first.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import attrs
import msgspec

from dealquest.coach.casebook import shorten
from dealquest.coach.leads import (
    Lead,
    LeadAdvice,
    LeadDraft,
    Plan,
    PostComments,
    check_plan,
    check_words,
    comments_prompt,
    describe_lead,
    draft_prompt,
    keep_steps,
    lead_advice_prompt,
    next_reminder,
    plan_prompt,
)
from dealquest.coach.strategist import tidy
from dealquest.errors import PeerUnavailableError

from .asking import Step, T, ask, look, read_number, reason_of, usable_sources
from .effects import AskModel, Consult, Consulted, Failed, Line, Reported, SearchWeb, Source
from .lead_view import lead_buttons, show_advice, show_comments, show_draft, show_reminder
from .scene import Flow, Scene
from .values import Change, Reply, Turn

Orders: TypeAlias = Callable[[str, str], str]
"""Standing orders, from the fence and the user's language."""

MAX_TRIES = 3
TRY_AGAIN_AFTER = timedelta(minutes=10)


def take_context(scene: Scene, lead: Lead, text: str) -> Flow:
    """Something new about a lead: keep it, and advise."""
    kept = _logged(lead, "context_update", text)
    if scene.offline:
        reply = scene.reply(scene.say("lead.context_kept"), scene.say("lead.no_model"), buttons=lead_buttons(scene, lead))
        return Turn(replies=(reply,), state=scene.state, changes=(kept,))
    advice = yield from _ask_about(scene, lead, "advice", LeadAdvice, lead_advice_prompt, ("what is new", text))
    if isinstance(advice, Failed):
        reason = scene.say("lead.advice_later", reason=reason_of(scene, advice))
        rows = ((scene.button("lead_advice", f"lead:advice:{lead.id}"),), *lead_buttons(scene, lead))
        return Turn(replies=(scene.reply(scene.say("lead.context_kept"), reason, buttons=rows),), state=scene.state, changes=(kept,))
    changes = (kept, _logged(lead, "ai_advice", _summary(advice)))
    return Turn(replies=(show_advice(scene, lead, advice),), state=scene.state, changes=changes)


def advise_lead(scene: Scene, lead: Lead) -> Flow:
    """What to do next, from all that is known."""
    advice = yield from _ask_about(scene, lead, "advice", LeadAdvice, lead_advice_prompt)
    if isinstance(advice, Failed):
        return _failed(scene, lead, advice)
    return _said(scene, show_advice(scene, lead, advice), _logged(lead, "ai_advice", _summary(advice)))


def write_draft(scene: Scene, lead: Lead) -> Flow:
    """The next message to a lead."""
    draft = yield from _ask_about(scene, lead, "draft", LeadDraft, draft_prompt)
    if isinstance(draft, Failed):
        return _failed(scene, lead, draft)
    stored = {"platform": draft.platform, "message": draft.message, "playbook_reference": ""}
    change = _logged(lead, "draft_made", draft.message, draft=stored)
    return _said(scene, show_draft(scene, attrs.evolve(lead, draft_response=stored)), change)


def comment_on_photo(scene: Scene, lead: Lead) -> Flow:
    """Comments on a post that is seen on a photo."""
    caption = scene.event.text.strip()
    comments = yield from _ask_about(
        scene,
        lead,
        "comments",
        PostComments,
        comments_prompt,
        *((("words of the user", caption),) if caption else ()),
        photo=scene.event.media,
    )
    return _commented(scene, lead, comments)


def comment_on_words(scene: Scene, lead: Lead, text: str) -> Flow:
    """Comments on a post that was pasted as text."""
    comments = yield from _ask_about(scene, lead, "comments", PostComments, comments_prompt, ("post", text))
    return _commented(scene, lead, comments)


def enrich(scene: Scene) -> Flow:
    """A job: look the prospect up, and plan five to eight steps. Both are left out where they cannot be had."""
    lead = yield from _lead_of_job(scene)
    if lead is None or scene.offline:
        return scene.stay()
    research, steps = "", None
    sources: tuple[Source, ...] = ()
    changes = []
    if scene.house.searches and lead.label and not lead.web_research:
        found = yield SearchWeb(prospect=lead.label)
        if isinstance(found, Reported):
            research, sources = found.text[:5000], usable_sources(found.sources)
    if not lead.engagement_plan:
        known = attrs.evolve(lead, web_research=research or lead.web_research)
        plan = yield from _ask_about(scene, known, "plan", Plan, plan_prompt)
        if not isinstance(plan, Failed):
            steps = keep_steps(plan)
        elif plan.retryable and (tries := int((scene.event.media or {}).get("tries", 0)) + 1) < MAX_TRIES:
            later = {"kind": "enrich_lead", "key": f"enrich:{lead.id}", "run_at": scene.now + TRY_AGAIN_AFTER}
            changes.append(_change("start_job", **later, payload={"lead_id": lead.id, "tries": tries}))
    kept = _change("enrich_lead", lead=lead.id, research=research, sources=sources, plan=steps)
    return attrs.evolve(scene.stay(), changes=(kept, *changes))


def remind(scene: Scene) -> Flow:
    """A job: a follow-up is due. The reminder, its count and the next one are stored together, so it is never sent twice."""
    lead = yield from _lead_of_job(scene)
    if lead is None or lead.next_followup is None or lead.next_followup > scene.now:
        return scene.stay()
    next_at = next_reminder(lead, scene.now)
    change = _change("remind_lead", lead=lead.id, next_at=next_at)
    return attrs.evolve(scene.stay(show_reminder(scene, lead, is_last=next_at is None)), changes=(change,))


def _lead_of_job(scene: Scene) -> Step[Lead | None]:
    lead_id = read_number(str((scene.event.media or {}).get("lead_id", "")))
    lead = None if lead_id is None else (yield from look(Lead, "look_lead", lead=lead_id))
    if isinstance(lead, Failed):
        # Nobody waits for a job, so it is not answered with an excuse: it is done when the records are back.
        raise PeerUnavailableError("The records did not answer a job.", code="coach.job_waits")
    return lead


def _ask_about(
    scene: Scene, lead: Lead, purpose: str, output: type[T], orders: Orders, *new: tuple[str, str], photo: Mapping[str, Any] | None = None
) -> Step[T | Failed]:
    """An object about a lead, with the team's notes; everything others wrote is fenced."""
    consulted = yield Consult(query=" ".join([lead.label, lead.original_context, *(text for _, text in new)]))
    notes = consulted.text if isinstance(consulted, Consulted) else ""
    parts = [*describe_lead(lead), *((("notes of the team", notes),) if notes else ()), *new]
    check: Any = check_plan if output is Plan else check_words
    answer = yield from ask(
        AskModel(
            purpose=f"lead.{purpose}",
            system=orders(scene.fence, scene.view.user.language),
            lines=(Line("user", scene.fenced(*parts)),),
            photo=photo,
        ),
        output,
        lambda given: check(given, scene.fence),
    )
    return answer if isinstance(answer, Failed) else tidy(answer)


def _commented(scene: Scene, lead: Lead, comments: PostComments | Failed) -> Turn:
    if isinstance(comments, Failed):
        return _failed(scene, lead, comments)
    if not comments.can_read:
        return scene.stay(scene.reply(scene.say("lead.no_post"), buttons=lead_buttons(scene, lead)))
    change = _logged(lead, "screenshot_comment", "\n".join([comments.post_summary, *comments.comments]))
    return _said(scene, show_comments(scene, lead, comments), change)


def _failed(scene: Scene, lead: Lead, failure: Failed) -> Turn:
    text = scene.say("lead.no_model") if scene.offline else scene.say("lead.not_now", reason=reason_of(scene, failure))
    return scene.stay(attrs.evolve(scene.reply(text, buttons=lead_buttons(scene, lead)), edit=False))


def _said(scene: Scene, reply: Reply, change: Change) -> Turn:
    return Turn(replies=(attrs.evolve(reply, edit=False),), state=scene.state, changes=(change,))


def _logged(lead: Lead, kind: str, content: str, *, draft: Any = None) -> Change:
    return _change("log_lead", lead=lead.id, kind=kind, content=shorten(content, 3900), draft=draft)


def _change(name: str, /, **values: Any) -> Change:
    return Change(kind=name, values=msgspec.to_builtins(values))


def _summary(advice: LeadAdvice) -> str:
    return "\n".join([advice.assessment, *(f"- {action}" for action in advice.next_actions), advice.message]).strip()


JOBS = {"enrich_lead": enrich, "remind_lead": remind}
