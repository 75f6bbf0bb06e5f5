"""Leads: made and merged by what a model extracted, planned, reminded of, changed and deleted by their owner alone."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.coach.dialogue import (
    EffectResult,
    Event,
    Failed,
    Flow,
    Found,
    Look,
    Person,
    Reported,
    Scene,
    State,
    Turn,
    User,
    View,
    catalogue,
    converse,
)
from dealquest.coach.leads import STATUSES, LeadAdvice, LeadDraft, Plan, PostComments, check_plan, check_words, parse_edit
from dealquest.coach.scenarios import load_pack
from dealquest.errors import DeniedError, PeerUnavailableError
from dealquest.storage import Postgrest
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.testing import Chatter, FrozenClock, ScriptedModels
from dealquest.values import SERVICE, Principal

from .deals import ADVICE, DEAL, FACTS, PLAN, chatter, rows

# The database wakes jobs by its own clock: a fixed day would be past one day, and what is planned for later would be due.
NOW = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
DOWN = PeerUnavailableError("The model is down.", code="llm.unavailable.test")
WORDS = LeadAdvice(assessment="She waits for figures.", next_actions=["Send one page"], message="Here is the page, Ann.")
COMMENTS = PostComments(can_read=True, post_summary="A post on budgets.", comments=["Which part surprised you?", "We saw the same in May."])


@pytest.fixture
def anyio_backend() -> str:
    """Flows have no loop of their own; the conversation under them is proved on both elsewhere."""
    return "asyncio"


@pytest.fixture
async def records(database: Any, anyio_backend: str) -> AsyncIterator[Postgrest]:
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=4)) as engine:
        yield Postgrest(engine.bind(SERVICE))


async def with_lead(records: Postgrest, *answers: object, **parts: Any) -> Chatter:
    """A person who has one lead, number 1, and a model with these further answers."""
    chat = chatter(records, FACTS, ADVICE, *answers, **parts)
    await chat.says("/support")
    await chat.says(DEAL)
    return chat


async def all_jobs_now(database: Any) -> None:
    rows(database, "update inbox set not_before = '-infinity' where is_job and status = 'open'")


async def test_a_lead_is_listed_shown_and_moved_through_its_states(records: Postgrest, database: Any) -> None:
    """The list counts by status; every other status is a button; closing ends the reminders, opening again begins them."""
    clock = FrozenClock(NOW)
    chat = await with_lead(records, clock=clock)
    assert "Your leads: 1" in await chat.says("/leads")
    assert "Leads: 1 (analysed 1)" in await chat.says("/stats")
    assert "Your leads: 1" in await chat.presses("All leads")
    shown = await chat.presses("data:lead:view:1")
    assert "Ann Lee, CFO, Acme" in shown
    assert "Payback is not clear" in shown
    assert len([button for button in chat.buttons if button.data.startswith("lead:status:1:")]) == len(STATUSES) - 1
    for status in STATUSES[1:]:
        await chat.presses(f"data:lead:status:1:{status}")
    assert rows(database, "select status, next_followup, last_contacted from lead_registry") == [("closed_lost", None, NOW)]
    assert rows(database, "select count(*) from inbox where job_key ~ 'remind' and status = 'open'") == [(0,)]
    await chat.presses("data:lead:status:1:in_progress")
    assert rows(database, "select not_before from inbox where job_key ~ 'remind' and status = 'open'") == [(NOW + timedelta(days=3),)]
    assert rows(database, "select count(*) from lead_activity_log where kind = 'status_changed'") == [(6,)]


async def test_pages_hold_five_and_an_empty_page_is_the_first(records: Postgrest, database: Any) -> None:
    """Seven leads are two pages; a page that is gone shows the first."""
    chat = await with_lead(records)
    rows(database, "insert into lead_registry (user_id, name) select 1, 'Lead ' || n from generate_series(2, 7) as n")
    assert "Page 1 of 2" in await chat.says("/leads")
    assert len([button for button in chat.buttons if button.data.startswith("lead:view:")]) == 5
    assert "Page 2 of 2" in await chat.presses("Older →")
    assert len([button for button in chat.buttons if button.data.startswith("lead:view:")]) == 2
    assert "Page 1 of 2" in await chat.presses("data:lead:page:99")


@pytest.mark.parametrize(("language", "due"), [("en", "a follow-up is due"), ("de", "Nachfassen ist fällig")])
def test_the_legend_explains_only_the_marks_on_the_page(language: str, due: str) -> None:
    """Nobody is told that a follow-up is due while none is; a mark that is there is explained."""
    event = Event(source="test", chat="ann", update_id=1, user=Person(local_name="ann"), text="/leads")
    scene = Scene(
        view=View(user=User(id=1)),
        event=event,
        pack=load_pack("en"),
        texts=catalogue(language),
        now=NOW,
        rng=random.Random("test"),
        offline=True,
    )
    for row, is_told in (({"is_due": True}, True), ({"steps": 6}, False), ({}, False)):
        page = {"total": 1, "listed": 1, "counts": {"analyzed": 1}, "rows": [{"id": 1, "status": "analyzed", "name": "Ann Lee", **row}]}
        (reply,) = drive(converse(scene), Found(page)).replies
        assert (due in reply.text.plain) is is_told
        assert ("2/6" in reply.text.plain) is ("steps" in row)


async def test_no_leads_is_said_with_the_way_to_the_first(records: Postgrest) -> None:
    """An empty list offers support."""
    chat = chatter(records)
    assert "no leads yet" in await chat.says("/leads")
    assert "live deal" in await chat.presses("I have a deal")


async def test_what_was_extracted_anew_is_merged_into_the_lead_it_speaks_of(records: Postgrest, database: Any) -> None:
    """A fuller name fills the known lead, whose known fields stay; somebody else at the same company is a new lead."""
    fuller, other = attrs.evolve(FACTS, name="Dr. Ann Lee", title="Boss"), attrs.evolve(FACTS, name="Bob")
    chat = await with_lead(records, fuller, ADVICE, other, ADVICE)
    for _ in range(2):
        await chat.says("Something new about this deal happened today.")
    found = rows(database, "select name, title, company, original_context from lead_registry order by id")
    news = "Something new about this deal happened today."
    assert found == [("Dr. Ann Lee", "CFO", "Acme", news), ("Bob", "CFO", "Acme", news)]


def test_merging_follows_names_and_companies(database: Any) -> None:
    """The same person is one lead however shortly named; colleagues and namesakes elsewhere are others."""
    same = [("ann lee", ""), ("Ann", "Acme Corporation"), ("Dr. Ann Lee", "ACME"), ("", "acme")]
    others = [("Ann Lee", "Globex"), ("Joann Leeds", "Acme"), ("Bob", "Acme"), ("", "Globex"), ("An", ""), ("", "")]
    for pairs, expected in ((same, True), (others, False)):
        for name, company in pairs:
            found = rows(database, "select dealquest.is_same_lead('Ann Lee', 'Acme', %s, %s)", name, company)
            assert found == [(expected,)], (name, company)


async def test_two_channels_at_once_make_one_lead(records: Postgrest, database: Any) -> None:
    """Merging is atomic within a user: the same prospect from two chats is not two leads."""
    chats = [chatter(records, FACTS, ADVICE) for _ in range(2)]
    chats[1].source = "other"
    for chat in chats:
        await chat.says("/support")
    async with anyio.create_task_group() as group:
        for chat in chats:
            group.start_soon(chat.says, DEAL)
    assert rows(database, "select count(*) from lead_registry") == [(1,)]


async def test_a_job_researches_and_plans_and_steps_are_marked(records: Postgrest, database: Any) -> None:
    """After the answer a job brings research and a plan; a step's button says what it wants, so pressing twice is pressing once."""
    models = ScriptedModels(FACTS, ADVICE, PLAN, research=Reported(text="Acme grows.", fenced="-"))
    chat = chatter(records, models=models, searches=True)
    await chat.says("/support")
    await chat.says(DEAL)
    assert await chat.works_off_jobs() == ""
    assert "Acme grows." in models.questions[-1].lines[0].text
    shown = await chat.presses("data:lead:plan:1")
    assert "Do thing 5" in shown
    done = next(button.data for button in chat.buttons if button.label == "✓ step 2")
    for _ in range(3):
        await chat.presses(f"data:{done}")
    assert rows(database, "select engagement_plan -> 1 ->> 'status', engagement_plan -> 0 ->> 'status' from lead_registry") == [
        ("done", "pending")
    ]
    assert rows(database, "select content from lead_activity_log where kind = 'step_done'") == [("Do thing 2",)]
    assert "✓ 2." in await chat.presses("data:lead:plan:1")
    await chat.presses("↺ step 2")
    assert rows(database, "select engagement_plan -> 1 ->> 'status' from lead_registry") == [("pending",)]
    assert "Acme grows." in await chat.presses("data:lead:view:1")
    assert "earlier step" in await chat.presses("data:lead:step:1:40:done")


async def test_a_plan_that_fails_is_tried_again_later_and_on_request(records: Postgrest, database: Any) -> None:
    """Two outages, then the plan: nobody has to ask for it."""
    chat = await with_lead(records, DOWN, DOWN, PLAN)
    assert "being made" in await chat.presses("data:lead:plan:1")
    for _ in range(3):
        await all_jobs_now_for(database, "enrich_lead")
        await chat.works_off_jobs()
    assert rows(database, "select jsonb_array_length(engagement_plan) from lead_registry") == [(5,)]
    assert rows(database, "select count(*) from inbox where payload ->> 'text' = 'enrich_lead' and status = 'open'") == [(0,)]


async def all_jobs_now_for(database: Any, kind: str) -> None:
    rows(database, "update inbox set not_before = '-infinity' where payload ->> 'text' = %s and status = 'open'", kind)


async def test_a_job_that_is_done_again_pays_once(records: Postgrest, database: Any) -> None:
    """A worker dies between research and plan; the next one plans with the research that was paid for."""

    class Dies(ScriptedModels):
        async def ask(self, question: Any, photo: Any, on_partial: Any) -> Any:
            raise KeyboardInterrupt

    await with_lead(records)
    dying = chatter(records, models=Dies(research=Reported(text="Acme grows.", fenced="-")), searches=True)
    with pytest.raises((KeyboardInterrupt, BaseExceptionGroup)) as killed:  # bare or in a group
        await dying.works_off_jobs()
    assert "KeyboardInterrupt" in repr(killed.value)
    rows(database, "update inbox set lease_until = null")
    models = ScriptedModels(PLAN)  # it has no research: asking for it again would fail
    assert await chatter(records, models=models, searches=True).works_off_jobs() == ""
    assert "Acme grows." in models.questions[0].lines[0].text
    assert rows(database, "select web_research, jsonb_array_length(engagement_plan) from lead_registry") == [("Acme grows.", 5)]


async def test_a_reminder_comes_when_it_is_due_and_plans_the_next(records: Postgrest, database: Any) -> None:
    """One job per lead: it reminds with the next step, counts, and waits three more days; a second run finds nothing due."""
    clock = FrozenClock(NOW)
    chat = await with_lead(records, PLAN, clock=clock)
    await chat.works_off_jobs()
    await all_jobs_now(database)
    assert await chat.works_off_jobs() == ""
    await chat.presses("data:lead:status:1:reached_out")
    clock.advance(timedelta(days=3, minutes=1).total_seconds())
    await all_jobs_now(database)
    replied = await chat.works_off_jobs()
    assert "Follow up with Ann Lee, CFO, Acme" in replied
    assert "Do thing 1" in replied
    assert rows(database, "select followup_count, next_followup from lead_registry") == [(1, clock.now() + timedelta(days=3))]
    assert rows(database, "select count(*) from inbox where job_key = '1:remind:1' and status = 'open'") == [(1,)]
    await all_jobs_now(database)
    assert await chat.works_off_jobs() == ""
    assert rows(database, "select followup_count from lead_registry") == [(1,)]


async def test_reminders_end_after_sixty_days_and_when_closed(records: Postgrest, database: Any) -> None:
    """The last reminder says that it is the last; a closed or deleted lead is never reminded of."""
    clock = FrozenClock(NOW)
    chat = await with_lead(records, PLAN, clock=clock)
    await chat.works_off_jobs()
    rows(database, "update lead_registry set created_at = %s", NOW - timedelta(days=56))
    clock.advance(timedelta(days=3, minutes=1).total_seconds())
    rows(database, "update inbox set not_before = '-infinity' where is_job")
    await chat.presses("data:lead:status:1:reached_out")
    clock.advance(timedelta(days=3, minutes=1).total_seconds())
    await all_jobs_now(database)
    assert "last reminder" in await chat.works_off_jobs()
    assert rows(database, "select count(*) from inbox where is_job and status = 'open'") == [(0,)]
    await chat.presses("data:lead:status:1:meeting_booked")
    await chat.presses("data:lead:delete:1")
    await chat.presses("data:confirm_delete_lead:1")
    assert rows(database, "select count(*) from inbox where is_job and status = 'open'") == [(0,)]


async def test_news_are_kept_and_answered_with_advice(records: Postgrest, database: Any) -> None:
    """What is new reaches the model with the lead's history; both are kept, and an outage keeps the news."""
    models = ScriptedModels(FACTS, ADVICE, WORDS, DOWN, WORDS)
    chat = chatter(records, models=models)
    await chat.says("/support")
    await chat.says(DEAL)
    assert "What is new with Ann Lee" in await chat.presses("data:lead:context:1")
    assert "She waits for figures." in await chat.says("She asked for figures.")
    assert "She asked for figures." in models.questions[-1].lines[0].text
    await chat.presses("data:lead:context:1")
    replied = await chat.says("She is on holiday.")
    assert "Kept" in replied
    assert "The model is down." in replied
    assert "Here is the page" in await chat.presses("data:lead:advice:1")
    assert "She is on holiday." in models.questions[-1].lines[0].text
    kinds = [kind for (kind,) in rows(database, "select kind from lead_activity_log order by id")]
    assert kinds == ["created", "context_update", "ai_advice", "context_update", "ai_advice"]
    assert "No scenario is open" in await chat.says("and this is no news")


async def test_a_draft_is_shown_and_written_anew(records: Postgrest, database: Any) -> None:
    """The last draft is kept with the lead; a new one replaces it."""
    chat = await with_lead(records, LeadDraft(platform="email", message="Next try, Ann?"))
    assert ADVICE.draft.message in await chat.presses("data:lead:draft:1")
    assert "Next try, Ann?" in await chat.presses("Write the next one")
    assert "Next try, Ann?" in await chat.presses("data:lead:draft:1")
    assert rows(database, "select kind from lead_activity_log order by id desc limit 1") == [("draft_made",)]


async def test_a_post_gets_comments_from_a_photo_or_its_text(records: Postgrest, database: Any) -> None:
    """A photo of a post, or the pasted text, brings options; a photo without a post is said to be none."""
    models = ScriptedModels(FACTS, ADVICE, COMMENTS, COMMENTS, attrs.evolve(COMMENTS, can_read=False, comments=[]))
    chat = chatter(records, models=models)
    await chat.says("/support")
    await chat.says(DEAL)
    for message in (("", "photo", {"file_id": "a"}), ("Budgets are a habit, not a plan.", "text", None)):
        await chat.presses("data:lead:screenshot:1")
        assert "Which part surprised you?" in await chat.says(*message)
    assert models.photos == [b"photo"]
    await chat.presses("data:lead:screenshot:1")
    assert "no post" in await chat.says("", "photo", {"file_id": "a"})
    assert rows(database, "select count(*) from lead_activity_log where kind = 'screenshot_comment'") == [(2,)]


async def test_edits_and_notes_are_read_from_what_is_written(records: Postgrest, database: Any) -> None:
    """Lines with a known name change that field; anything else asks again; notes are added below each other."""
    chat = await with_lead(records)
    await chat.presses("data:lead:edit:1")
    assert "a line each" in await chat.says("call her Anna please")
    assert "Anna Lee" in await chat.says("Name: Anna Lee\nTitle: CEO\nSalary: 5")
    assert rows(database, "select name, title, company from lead_registry") == [("Anna Lee", "CEO", "Acme")]
    for note in ("likes tea", "back on Monday"):
        await chat.presses("data:lead:note:1")
        await chat.says(note)
    assert "likes tea\nback on Monday" in await chat.presses("data:lead:view:1")


async def test_a_question_about_a_lead_is_forgotten_after_a_day(records: Postgrest, database: Any) -> None:
    """What is written a day later is not taken for a note."""
    clock = FrozenClock(NOW)
    chat = await with_lead(records, clock=clock)
    await chat.presses("data:lead:note:1")
    clock.advance(timedelta(days=1, minutes=1).total_seconds())
    assert "not sure which lead" in await chat.says("likes tea")
    assert rows(database, "select notes from lead_registry") == [("",)]


async def test_deleting_asks_says_what_goes_and_does_it_once(records: Postgrest, database: Any) -> None:
    """The lead, its history and its jobs go; the support session stays; only the very next press is a yes."""
    chat = await with_lead(records)
    assert "with its plan, notes" in await chat.presses("data:lead:delete:1")
    await chat.says("/leads")
    assert "earlier step" in await chat.presses("data:confirm_delete_lead:1")
    await chat.presses("data:lead:delete:1")
    assert "earlier step" in await chat.presses("data:confirm_delete_lead:2")
    await chat.presses("data:lead:delete:1")
    assert "is deleted" in await chat.presses("Yes, delete it")
    assert "earlier step" in await chat.presses("data:confirm_delete_lead:1")
    counts = (
        "select (select count(*) from lead_registry), (select count(*) from lead_activity_log), (select count(*) from support_sessions)"
    )
    assert rows(database, counts) == [(0, 0, 1)]
    assert rows(database, "select count(*) from inbox where job_key ~ 'remind|enrich' and status = 'open'") == [(0,)]


async def test_b2_another_users_lead_is_neither_read_nor_changed(records: Postgrest, database: Any) -> None:
    """Forged buttons of every kind, forged text states and forged changes leave a foreign lead as it is, and show none of it."""
    ann = await with_lead(records, PLAN)
    await ann.works_off_jobs()
    bob = chatter(records, ScriptedModels(), name="bob", first_update=700)
    await bob.says("/leads")
    everything = "select l.*, (select count(*) from lead_activity_log), (select count(*) from inbox where is_job) from lead_registry l"
    before = rows(database, everything)
    simple = ("view", "plan", "draft", "new_draft", "context", "screenshot", "advice", "delete", "edit", "note")
    forged = [f"lead:{action}:1" for action in simple] + ["lead:step:1:0:done", "lead:session:2"]
    forged += [f"lead:status:1:{status}" for status in STATUSES]
    for data in forged:
        replied = await bob.presses(f"data:{data}")
        assert "no such lead" in replied, data
        assert "Ann" not in replied
    assert "earlier step" in await bob.presses("data:confirm_delete_lead:1")
    asked = '{"entering": {"what": "delete_lead", "since": "2999-01-01T00:00:00Z", "lead_id": 1}}'
    rows(database, "update dialogue_states set state = %s where chat = 'bob'", asked)
    assert "no such lead" in await bob.presses("data:confirm_delete_lead:1")
    assert "no leads yet" in await bob.presses("data:lead:page:0")
    assert "no leads yet" in await bob.presses("data:lead:back")
    for junk in (
        "lead:view:-1",
        "lead:view:01",
        "lead:view:1:2",
        "lead:status:1:owned",
        "lead:step:1:x:done",
        "lead:view:" + "9" * 30,
        "lead:",
        "lead:x:1",
    ):
        assert "earlier step" in await bob.presses(f"data:{junk}")
    for at in ("lead_context", "lead_screenshot", "lead_edit", "lead_note"):
        state = f'{{"at": "{at}", "lead_id": 1, "since": "2999-01-01T00:00:00Z"}}'
        rows(database, "update dialogue_states set state = %s where chat = 'bob'", state)
        assert "no such lead" in await bob.says("Name: Bob")
    assert rows(database, everything) == before


CHANGES = {
    "enrich_lead": '{"lead": 1, "research": "x", "sources": [], "plan": [{"status": "pending"}]}',
    "set_lead_status": '{"lead": 1, "status": "closed_won", "at": "2026-01-01", "next_at": null}',
    "mark_lead_step": '{"lead": 1, "step": 0, "done": true, "at": "2026-01-01"}',
    "edit_lead": '{"lead": 1, "name": "x"}',
    "note_lead": '{"lead": 1, "text": "x"}',
    "log_lead": '{"lead": 1, "kind": "note", "content": "x", "draft": {"message": "x"}}',
    "remind_lead": '{"lead": 1, "next_at": "2026-01-01"}',
    "delete_lead": '{"lead": 1}',
}


def test_b2_every_change_is_bound_to_its_user(database: Any) -> None:
    """The SQL functions themselves find a lead by its number and its owner: all that take one are tried."""
    turn = '{"source": "test", "chat": "c", "update_id": 1}'
    everything = "select l, (select count(*) from lead_activity_log) from lead_registry l"
    rows(database, "insert into users (local_name) values ('ann'), ('bob')")
    rows(database, """insert into lead_registry (user_id, name, engagement_plan) values (1, 'Ann', '[{"status": "pending"}]')""")
    takers = rows(
        database,
        "select proname from pg_proc where pronamespace = 'dealquest_changes'::regnamespace and prosrc like '%change ->> ''lead''%'",
    )
    assert {name for (name,) in takers} == CHANGES.keys()
    for kind, change in CHANGES.items():
        before = rows(database, everything)
        for user, is_owner in ((2, False), (1, True)):
            rows(database, f"select dealquest_changes.{kind}(%s, %s, %s)", user, turn, change)
            assert (rows(database, everything) != before) is is_owner, kind


async def test_p21_rows_of_leads_are_read_by_their_owner_alone(records: Postgrest, database: Any) -> None:
    """Row-level security: a signed-in person sees their own leads and history, changes nothing, and calls no function of the coach."""
    await with_lead(records)
    rows(database, "insert into users (local_name) values ('bob')")
    async with await Engine.open(database.login_dsn, EngineConfig(db_pool=2)) as engine:
        for subject, count in (("1", 1), ("2", 0)):
            mine = Postgrest(engine.bind(Principal(role="authenticated", subject=subject)))
            for table in ("lead_registry", "lead_activity_log", "support_sessions"):
                assert len(await mine.table(table).select("id").all()) == count
            with pytest.raises(DeniedError, match=r"permission|denied"):
                await mine.table("knowledge_sections").select("*").all()
            with pytest.raises(DeniedError, match=r"permission|denied"):
                await mine.rpc("look_lead", of_user=1, lead=1)


async def test_without_a_model_a_lead_keeps_what_is_told_and_says_so(records: Postgrest) -> None:
    """Stored leads stay useful offline: status, notes, news are kept; advice is honestly declined."""
    await with_lead(records)
    chat = chatter(records, first_update=600)
    await chat.presses("data:lead:context:1")
    replied = await chat.says("She called back.")
    assert "Kept" in replied
    assert "No model is set up" in replied
    assert "No model is set up" in await chat.presses("data:lead:plan:1")
    assert "No model is set up" in await chat.presses("data:lead:advice:1")


async def test_another_button_of_the_lead_leaves_the_question(records: Postgrest, database: Any) -> None:
    """Whoever looks at the plan instead of writing a note writes no note with the next words."""
    chat = await with_lead(records, PLAN)
    await chat.works_off_jobs()
    await chat.presses("data:lead:note:1")
    await chat.presses("data:lead:plan:1")
    assert "No scenario is open" in await chat.says("likes tea")
    assert rows(database, "select notes from lead_registry") == [("",)]


async def test_cancel_leaves_a_question_about_a_lead(records: Postgrest, database: Any) -> None:
    """Commands win: /cancel ends the question, and the next words are no note."""
    chat = await with_lead(records)
    await chat.presses("data:lead:note:1")
    assert "Left" in await chat.says("/cancel")
    await chat.says("likes tea")
    assert rows(database, "select notes from lead_registry") == [("",)]


@given(
    st.one_of(
        st.text(max_size=64),
        st.builds(
            lambda *words: ":".join(words),
            st.sampled_from(["lead", "support", "go"]),
            st.sampled_from(["view", "status", "step", "page", "session", "done", "again", "retry", "leads", "", "x"]),
            st.text("0123456789:-x٣", max_size=24),  # a digit of another script
            st.sampled_from(["done", "open", "closed_won", ""]),
        ),
    )
)
def test_b2_no_button_data_breaks_the_dialogue(data: str) -> None:
    """Whatever a button claims to be, the flow ends with a turn: it looks with well-formed numbers, or says that the button is stale."""
    event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind="button", text=data)
    scene = Scene(view=View(user=User(id=1)), event=event, pack=load_pack("en"), texts=catalogue("en"), now=NOW, rng=random.Random(1))
    turn = drive(converse(scene), Found(None))
    assert turn.replies
    assert turn.changes == ()


def drive(flow: Flow, answer: EffectResult) -> Turn:
    """The turn of a flow whose every look brings this; it may look with numbers that are ids, and nothing else."""
    result: EffectResult | None = None
    while True:
        try:
            effect = next(flow) if result is None else flow.send(result)
        except StopIteration as end:
            turn: Turn = end.value
            return turn
        assert isinstance(effect, Look)
        ids = [effect.arguments[name] for name in ("lead", "session") if name in effect.arguments]
        assert all(isinstance(number, int) and 0 < number < 2**63 for number in ids)
        result = answer


@pytest.mark.parametrize(
    ("kind", "text", "at"),
    [
        ("text", "/leads", "idle"),
        ("button", "lead:view:1", "idle"),
        ("button", "lead:session:1", "idle"),
        ("button", "support:done:1", "idle"),
        ("text", "likes tea", "lead_note"),
    ],
)
def test_records_that_do_not_answer_are_said_and_nothing_is_lost(kind: Any, text: str, at: Any) -> None:
    """While storage is away the user is told so, nothing changes, and an open question stays open."""
    event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind=kind, text=text)
    view = View(user=User(id=1), state=State(at=at, lead_id=1, since=NOW))
    scene = Scene(view=view, event=event, pack=load_pack("en"), texts=catalogue("en"), now=NOW, rng=random.Random(1))
    turn = drive(converse(scene), Failed(reason="the records are away", retryable=True))
    assert "The records are away." in turn.replies[0].text.plain
    assert (turn.state, turn.changes) == (view.state, ())


def test_a_job_waits_for_records_that_do_not_answer() -> None:
    """Nobody waits for a reminder's excuse: the job is tried again when storage is back."""
    event = Event(source="test", chat="job:1", update_id=1, user=Person(), kind="job", text="remind_lead", media={"lead_id": 1})
    scene = Scene(view=View(user=User(id=1)), event=event, pack=load_pack("en"), texts=catalogue("en"), now=NOW, rng=random.Random(1))
    with pytest.raises(PeerUnavailableError, match="job"):
        drive(converse(scene), Failed(reason="away"))


def test_what_a_model_says_of_a_lead_is_checked() -> None:
    """Too few steps, empty advice, one comment, a repeated fence: each is named."""
    assert check_plan(PLAN, "wall") == []
    assert len(check_plan(Plan(steps=PLAN.steps[:2]), "wall")) == 1
    assert check_words(WORDS, "wall") == check_words(COMMENTS, "wall") == []
    assert check_words(attrs.evolve(WORDS, next_actions=[" "]), "wall")
    assert check_words(attrs.evolve(COMMENTS, comments=["one"]), "wall")
    assert check_words(LeadDraft(platform="", message=" "), "wall")
    assert check_words(LeadDraft(platform="", message="my wall"), "wall")


def test_edit_lines_are_bounded_and_forgiving() -> None:
    """Case and spaces do not matter, the last line of a field counts, and a field has a limit."""
    assert parse_edit(" NAME :  Ann \nname: Bea\nTitle:\n") == {"name": "Bea"}
    assert len(parse_edit("Company: " + "x" * 900)["company"]) == 200
