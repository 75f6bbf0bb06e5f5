"""How advice on a deal is shown: what it is, what to do, a draft to send, and what it rests on."""

from collections.abc import Sequence

from dealquest.coach.casebook import Case
from dealquest.coach.strategist import Advice, word_count

from .effects import Source
from .scene import Rows, Scene
from .text import Text, join, styled
from .values import Reply


def show_advice(
    scene: Scene, advice: Advice, *, case: Case | None, sources: Sequence[Source], note: str, ref: int, has_lead: bool
) -> tuple[Reply, ...]:
    """Two messages: the thinking, and the draft alone, ready to be copied."""
    thinking = join(
        (
            _analysis(scene, advice),
            _strategy(scene, advice),
            _tactics(scene, advice),
            _sources(scene, case, sources),
            scene.say(note) if note else "",
        ),
        "\n\n",
    )
    draft = advice.draft
    facts = [scene.say("support.words", words=word_count(draft.message))]
    if draft.playbook_reference:
        facts.append(scene.say("support.playbook", heading=draft.playbook_reference))
    head = scene.say("support.draft", platform=draft.platform or scene.say("support.any_platform"))
    return (
        Reply(text=thinking),
        Reply(
            text=join((head, styled(draft.message, "quote"), join(facts, " · ")), "\n\n"), buttons=_buttons(scene, ref, has_lead=has_lead)
        ),
    )


def show_cases(scene: Scene, cases: Sequence[Case]) -> tuple[Reply, ...]:
    """Without a model: the nearest cases as they are, and an honest sentence first."""
    if not cases:
        return (Reply(text=join((scene.say("support.offline"), scene.say("support.no_case")), "\n\n")),)
    shown = [
        join(
            (
                scene.say("support.case", number=place, title=case.title),
                _named(scene, "support.part_analysis", case.analysis),
                _named(scene, "support.part_strategy", case.strategy),
                _named(scene, "support.part_tactics", case.tactics),
                _named(scene, "support.part_draft", case.draft),
            )
        )
        for place, case in enumerate(cases, 1)
    ]
    head = join((scene.say("support.offline"), scene.say("support.cases", count=len(cases))), "\n\n")
    return (Reply(text=head), *(Reply(text=text) for text in shown))


def failed_buttons(scene: Scene, ref: int) -> Rows:
    """What can be done with a deal that has no answer yet."""
    return ((scene.button("support_retry", f"support:retry:{ref}"), scene.button("drop", f"support:drop:{ref}")),)


def _buttons(scene: Scene, ref: int, *, has_lead: bool) -> Rows:
    rows: Rows = (
        tuple(scene.button(f"support_{wish}", f"support:{wish}:{ref}") for wish in ("again", "shorter", "bolder")),
        tuple(scene.button(f"support_{wish}", f"support:{wish}:{ref}") for wish in ("done", "bad")),
    )
    return (*rows, (scene.button("view_lead", f"lead:session:{ref}"),)) if has_lead else rows


def _analysis(scene: Scene, advice: Advice) -> Text:
    analysis = advice.analysis
    signal = scene.say("support.signal", level=scene.say(f"support.signal_{analysis.buying_signal}"), reason=analysis.buying_signal_reason)
    lines = [
        _named(scene, f"support.{name}", getattr(analysis, name))
        for name in ("prospect_type", "seniority", "background_leverage", "company_context", "stage", "key_concern")
    ]
    return join((scene.say("support.analysis"), *lines, signal))


def _strategy(scene: Scene, advice: Advice) -> Text:
    strategy = advice.strategy
    steps = [
        scene.say("support.step", number=place, principle=step.principle, detail=step.detail)
        for place, step in enumerate(strategy.steps, 1)
    ]
    objection = scene.say("support.objection", objection=strategy.anticipated_objection, response=strategy.objection_response)
    return join((scene.say("support.strategy"), *steps, objection))


def _tactics(scene: Scene, advice: Advice) -> Text | str:
    tactics = advice.engagement_tactics
    lines = [
        *(f"• {action}" for action in tactics.linkedin_actions if action),
        _named(scene, "support.comment", tactics.comment_suggestion),
        _named(scene, "support.timing", tactics.timing),
    ]
    return join((scene.say("support.tactics"), *lines)) if any(lines) else ""


def _sources(scene: Scene, case: Case | None, sources: Sequence[Source]) -> Text | str:
    lines: list[Text] = [] if case is None else [scene.say("support.source_case", number=case.id, title=case.title)]
    lines += [Text("• ") + styled(source.title or source.url, "link", url=source.url) for source in sources]
    return join((scene.say("support.sources"), *lines)) if lines else ""


def _named(scene: Scene, key: str, text: str) -> Text | str:
    return scene.say(key, text=text) if text else ""
