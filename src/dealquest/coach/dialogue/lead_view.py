"""How leads are shown: a page of the list, one lead in short, its plan, its draft, and what is said about it."""

from collections.abc import Sequence
from datetime import datetime

from dealquest.coach.casebook import shorten
from dealquest.coach.leads import CLOSED, STATUSES, KeptStep, Lead, LeadAdvice, LeadPage, LeadRow, PostComments
from dealquest.coach.progress import local_day

from .scene import Rows, Scene, bar
from .text import Text, join, styled
from .values import Button, Reply

MAX_LABEL = 48
"""Characters of a button that names a lead."""


def show_list(scene: Scene, found: LeadPage, *, page: int, per_page: int) -> Reply:
    """Totals, and one page."""
    if not found.total:
        return scene.reply(scene.say("lead.none"), buttons=((scene.button("support", "go:support"),),))
    pages = -(-found.listed // per_page)
    older = scene.say("lead.older", listed=found.listed) if found.total > found.listed else ""
    head = scene.say("lead.title", total=found.total, counts=count_by_status(scene, found))
    rows: Rows = tuple((Button(_row_label(scene, row), f"lead:view:{row.id}"),) for row in found.rows)
    turning = []
    if page > 0:
        turning.append(scene.button("lead_newer", f"lead:page:{page - 1}"))
    if page + 1 < pages:
        turning.append(scene.button("lead_older", f"lead:page:{page + 1}"))
    place = scene.say("lead.page", page=page + 1, pages=pages) if pages > 1 else ""
    return scene.reply(head, place, older, _legend(scene, found.rows), buttons=(*rows, tuple(turning)) if turning else rows)


def count_by_status(scene: Scene, found: LeadPage) -> str:
    """How many leads stand where, in words."""
    return ", ".join(f"{_status(scene, status)} {found.counts[status]}" for status in STATUSES if found.counts.get(status))


def show_lead(scene: Scene, lead: Lead) -> Reply:
    """One lead in short, with all that can be done."""
    done = sum(step.status == "done" for step in lead.engagement_plan)
    plan: Text | str = scene.say("lead.plan_none")
    if lead.engagement_plan:
        plan = scene.say("lead.plan_bar", bar=bar(done, len(lead.engagement_plan)), done=done, all=len(lead.engagement_plan))
    due: Text | str = ""
    if lead.next_followup is not None and lead.status not in CLOSED:
        key = "lead.due" if lead.next_followup <= scene.now else "lead.next"
        due = scene.say(key, day=_day(scene, lead.next_followup), count=lead.followup_count)
    analysis, strategy = lead.prospect_analysis, lead.closing_strategy
    parts = (
        join((scene.say("lead.head", label=label_of(scene, lead), status=_status(scene, lead.status)), due, plan)),
        _part(scene, "lead.concern", analysis.get("key_concern")),
        _part(scene, "lead.stage", analysis.get("stage")),
        _part(scene, "lead.objection", strategy.get("anticipated_objection")),
        _part(scene, "lead.research", shorten(lead.web_research, 700)),
        join(_sources(lead)),
        _part(scene, "lead.notes", shorten(lead.notes, 700)),
        _history(scene, lead),
    )
    return scene.reply(*parts, buttons=_detail_buttons(scene, lead))


def show_plan(scene: Scene, lead: Lead) -> Reply:
    """The steps; a button each to mark it done, or open again."""
    lines = [_step(scene, place, step) for place, step in enumerate(lead.engagement_plan, 1)]
    buttons = [
        scene.button("lead_step_open" if step.status == "done" else "lead_step_done", _step_data(lead, place, step), number=place + 1)
        for place, step in enumerate(lead.engagement_plan)
    ]
    rows = tuple(tuple(buttons[start : start + 3]) for start in range(0, len(buttons), 3))
    back = (scene.button("lead_back_to", f"lead:view:{lead.id}"),)
    return scene.reply(scene.say("lead.plan_title", label=label_of(scene, lead)), *lines, buttons=(*rows, back))


def show_draft(scene: Scene, lead: Lead) -> Reply:
    """The last draft, and a button for the next."""
    message = str(lead.draft_response.get("message", ""))
    rows = ((scene.button("lead_new_draft", f"lead:new_draft:{lead.id}"), scene.button("lead_back_to", f"lead:view:{lead.id}")),)
    if not message:
        return scene.reply(scene.say("lead.draft_none"), buttons=rows)
    platform = str(lead.draft_response.get("platform", "")) or scene.say("support.any_platform").plain
    head = scene.say("lead.draft", label=label_of(scene, lead), platform=platform)
    return scene.reply(head, styled(message, "quote"), buttons=rows)


def show_advice(scene: Scene, lead: Lead, advice: LeadAdvice) -> Reply:
    """What to do next."""
    actions = join([f"• {action}" for action in advice.next_actions if action])
    message = join((scene.say("lead.message"), styled(advice.message, "quote"))) if advice.message else ""
    return scene.reply(
        scene.say("lead.advice", label=label_of(scene, lead)), advice.assessment, actions, message, buttons=lead_buttons(scene, lead)
    )


def show_comments(scene: Scene, lead: Lead, comments: PostComments) -> Reply:
    """Two or three comments to choose from."""
    options = [styled(comment, "quote") for comment in comments.comments if comment]
    return scene.reply(
        scene.say("lead.comments", label=label_of(scene, lead)), comments.post_summary, *options, buttons=lead_buttons(scene, lead)
    )


def show_reminder(scene: Scene, lead: Lead, *, is_last: bool) -> Reply:
    """A follow-up is due: the next open step, if there is a plan."""
    following = lead.next_step
    step: Text | str = scene.say("lead.remind_plain")
    rows: Rows = lead_buttons(scene, lead)
    if following is not None:
        place, open_step = following
        step = _step(scene, place + 1, open_step)
        rows = ((scene.button("lead_step_done", _step_data(lead, place, open_step), number=place + 1),), *rows)
    last = scene.say("lead.remind_last") if is_last else ""
    return scene.reply(scene.say("lead.remind", label=label_of(scene, lead), status=_status(scene, lead.status)), step, last, buttons=rows)


def confirm_delete(scene: Scene, lead: Lead) -> Reply:
    """Say exactly what goes, and ask."""
    rows = ((scene.button("lead_delete_yes", f"confirm_delete_lead:{lead.id}"), scene.button("lead_keep", f"lead:view:{lead.id}")),)
    return scene.reply(scene.say("lead.delete_sure", label=label_of(scene, lead)), buttons=rows)


def lead_buttons(scene: Scene, lead: Lead) -> Rows:
    """Back to the lead, or to all."""
    return ((scene.button("view_lead", f"lead:view:{lead.id}"), scene.button("leads", "lead:back")),)


def wait_buttons(scene: Scene, lead: Lead) -> Rows:
    """The way out of a question."""
    return ((scene.button("lead_back_to", f"lead:view:{lead.id}"),),)


def _detail_buttons(scene: Scene, lead: Lead) -> Rows:
    def all_of(*names: str) -> tuple[Button, ...]:
        return tuple(scene.button(f"lead_{name}", f"lead:{name}:{lead.id}") for name in names)

    statuses = [Button(f"→ {_status(scene, status)}", f"lead:status:{lead.id}:{status}") for status in STATUSES if status != lead.status]
    return (
        all_of("plan", "draft"),
        all_of("context", "advice"),
        all_of("screenshot", "note"),
        tuple(statuses[:3]),
        tuple(statuses[3:]),
        (*all_of("edit", "delete"), scene.button("lead_refresh", f"lead:view:{lead.id}")),
        (scene.button("leads", "lead:back"),),
    )


def _step(scene: Scene, number: int, step: KeptStep) -> Text:
    mark = "✓" if step.status == "done" else "○"
    head = scene.say("lead.step", mark=mark, number=number, action=scene.say(f"lead.action_{step.action_type}"), timing=step.timing)
    return join((head, step.description, styled(step.suggested_text, "quote")))


def _step_data(lead: Lead, place: int, step: KeptStep) -> str:
    return f"lead:step:{lead.id}:{place}:{'open' if step.status == 'done' else 'done'}"


def _row_label(scene: Scene, row: LeadRow) -> str:
    marks = f"{'❗ ' if row.is_due else ''}{'📷 ' if row.has_photo else ''}"
    plan = f" {row.steps_done}/{row.steps}" if row.steps else ""
    name = shorten(", ".join(part for part in (row.name, row.company) if part) or scene.say("lead.nameless").plain, MAX_LABEL)
    return f"{marks}{name} · {_status(scene, row.status)}{plan}"


def _legend(scene: Scene, rows: Sequence[LeadRow]) -> Text:
    """What the marks on this page mean, and no others."""
    marks = {"due": any(row.is_due for row in rows), "photo": any(row.has_photo for row in rows), "steps": any(row.steps for row in rows)}
    return join((scene.say(f"lead.legend_{mark}") for mark, is_there in marks.items() if is_there), " · ")


def _history(scene: Scene, lead: Lead) -> Text | str:
    lines = [
        f"{_day(scene, item.created_at)} {scene.say(f'lead.activity_{item.kind}').plain}"
        for item in lead.activities[-5:]
        if item.kind != "created"
    ]
    return join((scene.say("lead.history"), *lines)) if lines else ""


def _sources(lead: Lead) -> list[Text]:
    return [Text("• ") + styled(source["title"] or source["url"], "link", url=source["url"]) for source in lead.web_sources[:5]]


def _day(scene: Scene, moment: datetime) -> str:
    """The user's own calendar day."""
    return local_day(moment, scene.view.user.time_zone).isoformat()


def _part(scene: Scene, key: str, text: object) -> Text | str:
    return scene.say(key, text=text) if isinstance(text, str) and text else ""


def _status(scene: Scene, status: str) -> str:
    return scene.say(f"lead.status_{status}").plain


def label_of(scene: Scene, lead: Lead) -> str:
    """What a lead is called, also one without a name."""
    return lead.label or scene.say("lead.nameless").plain
