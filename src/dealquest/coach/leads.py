"""Leads: one prospect of one user, the plan to win them, and what a model is asked about them. Pure; SQL keeps them."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, get_args

import attrs

from .casebook import shorten
from .strategist import data_rule, leaks, texts_of

Status: TypeAlias = Literal["analyzed", "reached_out", "meeting_booked", "in_progress", "closed_won", "closed_lost"]
STATUSES: tuple[Status, ...] = get_args(Status)
CLOSED: frozenset[Status] = frozenset({"closed_won", "closed_lost"})

ActionType: TypeAlias = Literal[
    "linkedin_like",
    "linkedin_comment",
    "linkedin_connect",
    "linkedin_dm",
    "email_outreach",
    "content_share",
    "mutual_intro",
    "followup_message",
    "meeting_request",
]

MIN_STEPS = 5
MAX_STEPS = 8
FOLLOW_UP_AFTER = timedelta(days=3)
REMIND_FOR = timedelta(days=60)
"""Older leads are not reminded of any more."""

MAX_FIELD_CHARACTERS = 200
_EDIT = re.compile(r"\s*(name|company|title)\s*[:=]\s*(.*?)\s*\Z", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class PlanStep:
    """One step of a plan, as a model proposes it."""

    action_type: ActionType
    description: str
    suggested_text: str
    timing: str


@attrs.frozen(kw_only=True)
class KeptStep:
    """The same, kept."""

    step_id: int
    action_type: str
    description: str
    suggested_text: str = ""
    timing: str = ""
    status: Literal["pending", "done"] = "pending"
    completed_at: str | None = None


@attrs.frozen(kw_only=True)
class Plan:
    """Five to eight steps."""

    steps: list[PlanStep]


@attrs.frozen(kw_only=True)
class LeadAdvice:
    """What to do next with a lead."""

    assessment: str
    next_actions: list[str]
    message: str


@attrs.frozen(kw_only=True)
class LeadDraft:
    """A message to a lead."""

    platform: str
    message: str


@attrs.frozen(kw_only=True)
class PostComments:
    """Comments on what a prospect posted; `can_read` is false when the photo shows no post."""

    can_read: bool
    post_summary: str
    comments: list[str]


@attrs.frozen(kw_only=True)
class Activity:
    """One line of a lead's history."""

    kind: str
    content: str
    created_at: datetime


@attrs.frozen(kw_only=True)
class Lead:
    """A lead as its owner sees it."""

    id: int
    status: Status
    created_at: datetime
    name: str = ""
    title: str = ""
    company: str = ""
    photo: Mapping[str, Any] | None = None
    prospect_analysis: Mapping[str, Any] = attrs.field(factory=dict)
    closing_strategy: Mapping[str, Any] = attrs.field(factory=dict)
    engagement_tactics: Mapping[str, Any] = attrs.field(factory=dict)
    draft_response: Mapping[str, Any] = attrs.field(factory=dict)
    notes: str = ""
    original_context: str = ""
    web_research: str = ""
    web_sources: tuple[Mapping[str, str], ...] = ()
    engagement_plan: tuple[KeptStep, ...] = ()
    last_contacted: datetime | None = None
    next_followup: datetime | None = None
    followup_count: int = 0
    activities: tuple[Activity, ...] = ()

    @property
    def label(self) -> str:
        """Whom it is about, in one line."""
        return ", ".join(part for part in (self.name, self.title, self.company) if part)

    @property
    def next_step(self) -> tuple[int, KeptStep] | None:
        """The first step that is not done, with its place from 0."""
        return next(((place, step) for place, step in enumerate(self.engagement_plan) if step.status == "pending"), None)


@attrs.frozen(kw_only=True)
class LeadRow:
    """A lead in the list."""

    id: int
    status: Status
    name: str = ""
    company: str = ""
    has_photo: bool = False
    is_due: bool = False
    steps: int = 0
    steps_done: int = 0


@attrs.frozen(kw_only=True)
class LeadPage:
    """One page of the list: `total` leads in all, `listed` of them on pages."""

    total: int
    listed: int
    counts: Mapping[str, int]
    rows: tuple[LeadRow, ...]


def parse_edit(text: str) -> dict[str, str]:
    r"""Read lines such as `Name: Ann Lee`; other lines are left out, of a field given twice the last counts.

    >>> parse_edit("Name: Ann Lee\ncompany = Acme\nwhatever")
    {'name': 'Ann Lee', 'company': 'Acme'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _EDIT.match(line)
        if match is not None and match.group(2):
            found[match.group(1).casefold()] = match.group(2)[:MAX_FIELD_CHARACTERS]
    return found


def next_reminder(lead: Lead, now: datetime) -> datetime | None:
    """When to remind after this reminder; None when the lead is too old or closed."""
    following = now + FOLLOW_UP_AFTER
    return None if lead.status in CLOSED or following - lead.created_at > REMIND_FOR else following


def describe_lead(lead: Lead) -> tuple[tuple[str, str], ...]:
    """A lead as named texts for a prompt; all of it was written by others."""
    steps = "\n".join(
        f"{place}. [{step.status}] {step.action_type}: {step.description}" for place, step in enumerate(lead.engagement_plan, 1)
    )
    history = "\n".join(f"{item.created_at:%Y-%m-%d} {item.kind}: {shorten(item.content, 400)}" for item in lead.activities)
    analysis = "\n".join(f"{name}: {value}" for name, value in lead.prospect_analysis.items() if isinstance(value, str) and value)
    parts = (
        ("lead", f"Prospect: {lead.label or 'not named'}\nStatus: {lead.status}"),
        ("analysis", analysis),
        ("context", lead.original_context),
        ("last draft", str(lead.draft_response.get("message", ""))),
        ("plan", steps),
        ("history", history),
        ("notes", shorten(lead.notes, 1500)),
        ("web research", shorten(lead.web_research, 1000)),
    )
    return tuple((name, text) for name, text in parts if text)


def plan_prompt(fence: str, language: str) -> str:
    """Standing orders for a plan."""
    return (
        "You plan how a salesperson wins the attention and trust of one prospect over the next weeks.\n"
        f"{data_rule(fence)}\n"
        f"Give {MIN_STEPS} to {MAX_STEPS} steps in order, from light to binding, each with an action of the allowed kinds, "
        "what to do and why, a text that can be used as it is (empty where none is needed), and when. "
        "Rest on what is known; invent nothing. "
        f"Write in this language: {language}."
    )


def lead_advice_prompt(fence: str, language: str) -> str:
    """Standing orders for advice on what is new with a lead."""
    return (
        "You advise a salesperson on one prospect, from what is known and what is new.\n"
        f"{data_rule(fence)}\n"
        "assessment: two or three sentences on where it stands. next_actions: one to four, the most useful first. "
        f"message: what to send now, ready to use, or empty when waiting is better. Write in this language: {language}."
    )


def draft_prompt(fence: str, language: str) -> str:
    """Standing orders for the next message."""
    return (
        "You write the next message of a salesperson to one prospect.\n"
        f"{data_rule(fence)}\n"
        "Follow the next open step of the plan. Under 150 words, one question or one next step, nothing invented. "
        "platform: where to send it. "
        f"Write in the language in which the prospect is addressed; if unknown, in: {language}."
    )


def comments_prompt(fence: str, language: str) -> str:
    """Standing orders for comments on a post."""
    return (
        "You suggest comments that a salesperson may leave under a post of their prospect, seen on the photo or given as text.\n"
        f"{data_rule(fence)}\n"
        "can_read: whether there is a post to comment on. post_summary: one sentence. comments: two or three different ones of one to "
        "three sentences, each adding a thought or a question, none selling anything. "
        f"Write the comments in the language of the post and the summary in: {language}."
    )


def check_plan(plan: Plan, fence: str) -> list[str]:
    """Why a plan cannot be accepted."""
    faults = leaks(plan, fence)
    if not MIN_STEPS <= len(plan.steps) <= MAX_STEPS:
        faults.append(f"steps holds {len(plan.steps)} steps; {MIN_STEPS} to {MAX_STEPS} are wanted")
    return faults + [f"steps[{place}].description is empty" for place, step in enumerate(plan.steps) if not step.description.strip()]


def check_words(answer: LeadAdvice | LeadDraft | PostComments, fence: str) -> list[str]:
    """Why advice, a draft or comments cannot be accepted."""
    faults = leaks(answer, fence)
    match answer:
        case LeadAdvice() if not answer.assessment.strip() or not any(action.strip() for action in answer.next_actions):
            faults.append("assessment and next_actions must not be empty")
        case LeadDraft() if not answer.message.strip():
            faults.append("message is empty")
        case PostComments() if answer.can_read and not 2 <= sum(bool(comment.strip()) for comment in answer.comments) <= 3:
            faults.append("comments must hold two or three comments")
    if sum(len(text) for text in texts_of(answer)) > 8_000:
        faults.append("the answer is far too long")
    return faults


def keep_steps(plan: Plan) -> list[KeptStep]:
    """A plan as it is kept: nothing done yet."""
    return [
        KeptStep(
            step_id=place,
            action_type=step.action_type,
            description=shorten(step.description, 600),
            suggested_text=shorten(step.suggested_text, 1500),
            timing=shorten(step.timing, 200),
        )
        for place, step in enumerate(plan.steps, 1)
    ]
