"""The dialogue alone: commands win, buttons are wishes, nothing repeats, nothing is lost."""

import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dealquest.coach.dialogue import (
    Best,
    Button,
    Event,
    EventKind,
    Failed,
    Hear,
    House,
    Look,
    Person,
    Progress,
    Reply,
    Scene,
    ScoreAnswer,
    State,
    Turn,
    User,
    View,
    catalogue,
    converse,
)
from dealquest.coach.dialogue.converse import PARTS
from dealquest.coach.pack import Pack
from dealquest.coach.scenarios import load_pack
from dealquest.coach.signals import score_by_signals

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PACK = load_pack("en")
OTHER_FLOWS = {word for part in PARTS for word in part.buttons} - {"go"}


class Player:
    """One user who plays against the pure dialogue; keeps what a database would keep."""

    def __init__(self, pack: Pack = PACK, *, language: str = "en", house: House | None = None) -> None:
        self.pack = pack
        self.texts = catalogue(language)
        self.house = house or House()
        self.view = View(user=User(id=1, first_name="Ann"))
        self.updates = 0
        self.now = NOW
        self.failing: Failed | None = None
        self.last: Turn | None = None

    def says(self, text: str, kind: EventKind = "text") -> str:
        self.updates += 1
        event = Event(source="test", chat="1", update_id=self.updates, user=Person(local_name="ann"), kind=kind, text=text)
        scene = Scene(
            view=self.view,
            event=event,
            pack=self.pack,
            texts=self.texts,
            now=self.now,
            rng=random.Random(f"test:{self.updates}"),
            house=self.house,
        )
        turn = self._run(scene)
        self._store(turn)
        return "\n".join(reply.text.plain for reply in turn.replies)

    def presses(self, data: str) -> str:
        return self.says(data, "button")

    @property
    def replies(self) -> tuple[Reply, ...]:
        assert self.last is not None
        return self.last.replies

    @property
    def buttons(self) -> list[Button]:
        return [button for reply in self.replies for row in reply.buttons for button in row]

    def _run(self, scene: Scene) -> Turn:
        flow = converse(scene)
        try:
            effect = next(flow)
            while True:
                if isinstance(effect, Look):
                    effect = flow.send(Failed(reason="There is no storage here."))
                    continue
                assert isinstance(effect, ScoreAnswer)
                if self.failing is not None and not effect.offline:
                    effect = flow.send(self.failing)
                else:
                    effect = flow.send(score_by_signals(self.pack.scenario(effect.scenario_id), effect.answer))
        except StopIteration as end:
            turn: Turn = end.value
            return turn

    def _store(self, turn: Turn) -> None:
        self.last = turn
        view, user = self.view, self.view.user
        user = attrs.evolve(
            user,
            greeted=True,
            total_xp=user.total_xp + sum(entry.amount for entry in turn.xp),
            streak_days=user.streak_days if turn.streak_days is None else turn.streak_days,
            last_graded_on=turn.graded_on or user.last_graded_on,
        )
        changed = {(row.track_id, row.level_id): row for row in (*view.progress, *turn.progress)}
        bests = {best.scenario_id: best for best in view.bests}
        scores = view.recent_scores
        if turn.attempt is not None:
            score, before = turn.attempt.card.total, bests.get(turn.attempt.scenario_id)
            bests[turn.attempt.scenario_id] = Best(
                scenario_id=turn.attempt.scenario_id,
                best_score=max(score, before.best_score if before else 0),
                last_score=score,
                attempts=(before.attempts if before else 0) + 1,
            )
            scores = (score, *scores)[:10]
        self.view = View(
            user=user,
            state=turn.state,
            progress=tuple(changed.values()),
            seen=(view.seen - set(turn.unseen)) | set(turn.seen),
            bests=tuple(bests.values()),
            recent_scores=scores,
        )

    def strong_answer(self) -> str:
        assert self.view.state.scenario_id is not None
        return self.pack.scenario(self.view.state.scenario_id).anchors.strong.text

    def weak_answer(self) -> str:
        assert self.view.state.scenario_id is not None
        return self.pack.scenario(self.view.state.scenario_id).anchors.weak.text


def test_a_newcomer_is_welcomed_once_and_told_how_answers_are_scored() -> None:
    """The first hello explains, the second greets; both say that scoring is offline and how to change it."""
    player = Player()
    first, second = player.says("", "hello"), player.says("/start")
    assert "Welcome" in first
    assert "OPENROUTER_API_KEY" in first
    assert "Good to see you again, Ann" in second
    assert "OPENROUTER_API_KEY" in second


def test_who_chose_no_model_is_sent_to_the_settings_not_to_the_operators_variables() -> None:
    """Where this house has a model or takes keys, a user without one can change that alone."""
    player = Player(house=House(shared_model="a/model", stores_keys=True))
    player.says("", "hello")
    replied = player.says("/help")
    assert "To switch a model on, see /settings." in replied
    assert "OPENROUTER_API_KEY" not in replied


def test_a_scenario_that_gives_way_is_named() -> None:
    """Another scenario or flow closes one without an answer, and says that it comes again; what keeps it open says nothing."""
    for language, words in (("en", "it comes again"), ("de", "es kommt wieder")):
        player = Player(language=language)
        player.says("", "hello")
        assert words not in player.says("/train easy")
        title = player.pack.scenario(player.view.state.scenario_id or "").title
        for command in ("/stats", "/learn", "/help", "/start", "/train"):
            assert words not in player.says(command)
        said = player.presses("train:next")
        assert words in said
        assert title in said
        assert words in player.says("/support")
        assert words not in player.says("/train easy")


DOCS = Path(__file__).parents[2] / "docs/errors"
OF_PROGRAMS = {"transcription.bad_id", "transcription.unwritable", "transcription.webhook_denied", "transcription.webhook_garbled"}
OF_SPEECH = set(re.findall(r"^\| `(transcription\.\w+)`", (DOCS / "transcription.md").read_text("utf-8"), re.MULTILINE)) - OF_PROGRAMS
MET = (
    *sorted(OF_SPEECH),
    "telegram.file_gone",
    "telegram.file_too_large",
    "telegram.flood",
    "telegram.sound_empty",
    "telegram.sound_too_long",
    "telegram.unreachable",
    "cli.media.missing",
    "cli.media.too_large",
    "storage.database.overloaded",
    "storage.connect",
)


@pytest.mark.parametrize("language", ["en", "de"])
def test_why_a_voice_was_not_heard_is_said_in_the_users_language(language: str) -> None:
    """Every code of speech, files and records that a user can meet has a sentence; no detail of the failing part is shown."""
    texts = catalogue(language)
    for code in MET:
        scene = Scene(
            view=View(user=User(id=1)),
            event=Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind="voice", media={"file": "x"}),
            pack=PACK,
            texts=texts,
            now=NOW,
            rng=random.Random(1),
            house=House(hears=True),
        )
        flow = converse(scene)
        assert isinstance(next(flow), Hear)
        with pytest.raises(StopIteration) as end:
            flow.send(Failed(reason="HTTP 503 of host x", code=code))
        said = end.value.value.replies[0].text.plain
        assert "503" not in said, code
        assert any(sentence in said for key, sentence in texts.templates.items() if key.startswith("reason.")), code


def test_a_limit_is_named_in_the_users_language() -> None:
    """Whoever sent too much is told how much is taken."""
    event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), kind="voice", media={"file": "x"})
    for reason, code, words in (
        ("The file is larger than 20 MB; send a shorter one.", "telegram.file_too_large", "größer als 20 MB"),
        ("The recording is longer than 30 minutes; send a shorter one.", "telegram.sound_too_long", "länger als 30 Minuten"),
    ):
        view, house = View(user=User(id=1)), House(hears=True)
        scene = Scene(view=view, event=event, pack=PACK, texts=catalogue("de"), now=NOW, rng=random.Random(1), house=house)
        flow = converse(scene)
        next(flow)
        with pytest.raises(StopIteration) as end:
            flow.send(Failed(reason=reason, code=code))
        assert words in end.value.value.replies[0].text.plain


@pytest.mark.parametrize(("language", "named"), [("en", "the team's model, a/model"), ("de", "das Modell des Teams, a/model")])
def test_who_came_back_is_not_asked_again_how_to_be_scored(language: str, named: str) -> None:
    """The team's model counts from the first minute, and no model once it is chosen; only who chose nothing is asked again."""
    setup = {"setup:auto", "setup:custom", "setup:offline"}
    team, keys_only = House(shared_model="a/model", stores_keys=True), House(stores_keys=True)
    for user, house, offline, asked in (
        (User(id=1, greeted=True), team, False, False),
        (User(id=1, greeted=True, provider="offline", uses_shared_key=False), team, True, False),
        (User(id=1, greeted=True, provider="offline", uses_shared_key=False), keys_only, True, False),
        (User(id=1, greeted=True, key_providers=("anthropic",)), keys_only, True, False),
        (User(id=1, greeted=True), keys_only, True, True),
    ):
        event = Event(source="test", chat="1", update_id=1, user=Person(local_name="ann"), text="/start")
        scene = Scene(
            view=View(user=user),
            event=event,
            pack=PACK,
            texts=catalogue(language),
            now=NOW,
            rng=random.Random(1),
            house=house,
            offline=offline,
        )
        flow, effect = converse(scene), None
        try:
            effect = next(flow)
            while True:
                assert isinstance(effect, Look)
                effect = flow.send(Failed(reason="There is no storage here."))
        except StopIteration as end:
            (reply,) = end.value.replies
        assert bool(setup & {button.data for row in reply.buttons for button in row}) is asked
        assert (named in reply.text.plain) is (not offline)


def test_numbers_are_written_as_in_the_users_language() -> None:
    """A German reads 9.000 where an English speaker reads 9,000."""
    for language, written in (("en", "9,000 characters"), ("de", "9.000 Zeichen")):
        player = Player(language=language)
        player.says("/train easy")
        assert written in player.says("x" * 9_000)


def test_the_first_level_leads_to_the_second() -> None:
    """Learn, lesson, scenario, a strong answer: completed, XP earned, the next level is open."""
    player = Player()
    track = player.pack.tracks[0]
    player.says("/learn")
    if len(player.pack.tracks) > 1:
        player.presses(f"learn:track:{track.id}")
    assert [button.data for button in player.buttons if button.data.startswith("learn:level:")] == [f"learn:level:{track.levels[0].id}"]
    assert track.levels[0].lesson.title in player.presses(f"learn:level:{track.levels[0].id}")
    assert track.levels[0].scenario.situation in player.presses(f"learn:scenario:{track.levels[0].id}")
    feedback = player.says(player.strong_answer())
    assert "of 100" in feedback
    assert "Level 2 is open now" in feedback
    assert player.view.user.total_xp > 60
    assert track.levels[1].lesson.title in player.presses(f"learn:level:{track.levels[1].id}")


def test_a_failed_level_stays_open_and_the_next_one_locked() -> None:
    """Below the pass mark the level is in progress, and nothing unlocks."""
    player = Player()
    level = player.pack.tracks[0].levels[0]
    player.presses(f"learn:scenario:{level.id}")
    assert "short" in player.says(player.weak_answer())
    assert player.view.progress[0].status == "in_progress"
    assert "still locked" in player.presses(f"learn:scenario:{player.pack.tracks[0].levels[1].id}")
    assert player.view.state.at == "idle"


def test_a_failed_retry_does_not_undo_a_completed_level() -> None:
    """Completed stays completed, the best score stays, and a worse answer earns nothing."""
    player = Player()
    level = player.pack.tracks[0].levels[0]
    player.presses(f"learn:scenario:{level.id}")
    player.says(player.strong_answer())
    best, xp = player.view.progress[0].best_score, player.view.user.total_xp
    player.presses(f"learn:scenario:{level.id}")
    player.says(player.weak_answer())
    row = player.view.progress[0]
    assert (row.status, row.best_score, row.attempts_count, player.view.user.total_xp) == ("completed", best, 2, xp)


def test_a_whole_track_pays_its_bonus_once() -> None:
    """Completing every level pays the track's bonus, playing the last one again does not."""
    player = Player()
    for level in player.pack.tracks[0].levels:
        player.presses(f"learn:scenario:{level.id}")
        player.says(player.strong_answer())
    assert player.last is not None
    assert {entry.reason: entry.amount for entry in player.last.xp}["track"] == 50
    player.presses(f"learn:scenario:{player.pack.tracks[0].levels[-1].id}")
    player.says(player.strong_answer())
    assert "track" not in {entry.reason for entry in player.last.xp}


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_training_never_repeats_before_the_pool_is_used_up(difficulty: str) -> None:
    """Every scenario of a difficulty comes once, then a new round of that difficulty alone begins."""
    player = Player()
    level = {"easy": 1, "medium": 2, "hard": 3}[difficulty]
    pool = {scenario.id for scenario in player.pack.practice if scenario.difficulty == level}
    met = []
    player.says(f"/train {difficulty}")
    for _ in pool:
        met.append(player.view.state.scenario_id)
        player.says("Thank you for your time.")
        text = player.presses("train:next")
    assert sorted(met) == sorted(pool)
    assert "a new round begins" in text
    assert not player.view.seen & pool


def test_a_scenario_that_was_left_is_not_seen() -> None:
    """Cancel closes the scenario without penalty; only an answer makes it seen."""
    player = Player()
    player.says("/train easy")
    assert "without penalty" in player.says("/cancel")
    assert (player.view.state.at, player.view.seen) == ("idle", frozenset())
    assert "Nothing is open" in player.says("/cancel")


def test_the_difficulty_is_kept_for_the_next_scenario() -> None:
    """Next stays with the difficulty that was chosen."""
    player = Player()
    player.says("/train hard")
    player.says("Let me think about it.")
    player.presses("train:next")
    assert player.view.state.scenario_id is not None
    assert player.pack.scenario(player.view.state.scenario_id).difficulty == 3


def test_commands_win_over_an_open_scenario() -> None:
    """A command is never graded as an answer, and the scenario stays open."""
    player = Player()
    player.says("/train easy")
    for command in ("/stats", "/help", "/learn", "/start@deal_bot", "/statss"):
        player.says(command)
        assert player.last is not None
        assert player.last.attempt is None
        assert player.view.state.at == "answering"


def test_a_typo_gets_the_nearest_command() -> None:
    """An unknown command names the one that was meant, or the list."""
    player = Player()
    assert "Did you mean /train?" in player.says("/trian")
    assert "Did you mean /learn?" in player.says("/lern")
    assert "/help lists" in player.says("/zzzzzz")


def test_words_without_a_scenario_get_an_answer() -> None:
    """Unknown text is never met with silence."""
    player = Player()
    assert "/train" in player.says("hello there")
    assert "type your answer" in player.says("", "voice")


@given(
    data=st.one_of(
        st.text(max_size=64),
        st.sampled_from(["learn:level:", "learn:scenario:x", "again:zzz", "ideal:zzz", "train:diff:9", "score:again", "::", "go:"]),
    )
)
def test_b2_a_forged_or_stale_button_changes_nothing(data: str) -> None:
    """Button data that names nothing the user may do is answered, and changes no state."""
    player = Player()
    player.says("/start")
    before = player.view
    # What other flows answer to is pressed in their own tests; chance may well write one of their buttons.
    assume(data not in {"go:learn", "go:train", "go:stats", "train:next"} and data.split(":", maxsplit=1)[0] not in OTHER_FLOWS)
    player.presses(data)
    assert player.view == before


def test_b2_an_ideal_answer_is_not_shown_before_an_attempt() -> None:
    """The button's data alone does not open what only an attempt opens."""
    player = Player()
    scenario = player.pack.practice[0]
    assert scenario.ideal not in player.presses(f"ideal:{scenario.id}")


def test_an_answer_that_could_not_be_scored_is_kept() -> None:
    """A failing scorer costs no attempt; the kept answer is scored later, by the model or offline."""
    player = Player()
    player.says("/train easy")
    answer = player.strong_answer()
    player.failing = Failed(reason="The model is overloaded.", retryable=True)
    assert "The model is overloaded." in player.says(answer)
    assert (player.view.state.kept_answer, player.view.recent_scores) == (answer, ())
    assert "still waiting" in player.says("/start")
    assert "The model is overloaded." in player.presses("score:again")
    assert "of 100" in player.presses("score:offline")
    assert (player.view.state.kept_answer, len(player.view.recent_scores)) == (None, 1)


@pytest.mark.parametrize(("language", "said"), [("en", "The model's answer could not be used."), ("de", "Die Antwort des Modells")])
def test_a_failing_model_is_told_in_the_users_words(language: str, said: str) -> None:
    """Neither a class nor a scenario's id nor the name of a route is shown, and a German reads German."""
    player = Player(language=language)
    player.says("/train easy")
    player.failing = Failed(reason="the verdict on price_01 did not hold (7 faults)", code="coach.verdict.invalid", retryable=True)
    replied = player.says(player.strong_answer())
    assert said in replied
    assert "price_01" not in replied


def test_a_late_answer_is_neither_graded_unasked_nor_lost() -> None:
    """After more than a day a text may be an answer or not: it is kept, and one button scores it."""
    player = Player()
    player.says("/train easy")
    player.now += timedelta(days=2)
    answer = player.strong_answer()
    assert "Shall this be your answer" in player.says(answer)
    assert (player.view.recent_scores, player.view.state.kept_answer) == ((), answer)
    assert "of 100" in player.presses("score:again")


def test_a_scenario_open_for_more_than_a_day_is_set_aside_not_lost() -> None:
    """A command after a day goes its way, with a button that takes the old scenario up again."""
    player = Player()
    player.says("/train easy")
    opened = player.view.state.scenario_id
    player.now += timedelta(days=2)
    assert "set it aside" in player.says("/stats")
    assert player.view.state.at == "idle"
    player.presses(player.buttons[0].data)
    assert (player.view.state.at, player.view.state.scenario_id) == ("answering", opened)


def test_a_kept_answer_goes_before_a_new_scenario() -> None:
    """Whoever moves on while an answer waits for its score is asked first; dropping it is their choice alone."""
    player = Player()
    player.says("/train easy")
    player.failing = Failed(reason="The model is overloaded.", retryable=True)
    answer = player.strong_answer()
    player.says(answer)
    for move in ("/train hard", "/train any"):
        assert "still waiting" in player.says(move)
    assert "still waiting" in player.presses("train:next")
    player.now += timedelta(days=30)
    assert "still waiting" in player.says("/start")
    assert player.view.state.kept_answer == answer
    assert "dropped" in player.says("/cancel")


def test_a_scenario_that_left_the_pack_does_not_trap_the_user() -> None:
    """An open scenario that no longer exists is set aside with a word."""
    player = Player()
    player.view = attrs.evolve(player.view, state=State(at="answering", mode="train", scenario_id="gone", since=NOW))
    assert "nothing was changed" in player.says("my answer")
    assert player.view.state.at == "idle"


def test_an_endless_answer_is_refused_and_the_scenario_stays_open() -> None:
    """100 kB gets one clear line with the limit."""
    player = Player()
    player.says("/train easy")
    assert "8,000" in player.says("word " * 20_000)
    assert player.view.state.at == "answering"
    assert "empty" in player.says("\x00\x1b \x07")


@given(text=st.text(max_size=400))
def test_no_text_breaks_the_dialogue(text: str) -> None:
    """Whatever is written while a scenario is open gets an answer, and what is stored has no control characters."""
    player = Player()
    player.says("/train easy")
    assert player.says(text)
    assert player.last is not None
    if player.last.attempt is not None:
        assert "\x00" not in player.last.attempt.answer


def test_every_button_fits_telegram() -> None:
    """Data of every button of the pack has at most 64 bytes (the value refuses more)."""
    with pytest.raises(ValueError, match="64"):
        Button("x", "y" * 65)
    for scenario in PACK.scenarios:
        Button("x", f"again:{scenario.id}")
        Button("x", f"ideal:{scenario.id}")
    for track in PACK.tracks:
        for level in track.levels:
            Button("x", f"learn:scenario:{level.id}")


def test_progress_of_an_unknown_level_is_ignored() -> None:
    """Rows of a level that the pack no longer has do not disturb the overview."""
    player = Player()
    player.view = attrs.evolve(player.view, progress=(Progress(track_id="old", level_id="9.9", status="completed"),))
    assert "levels completed" in player.says("/stats")
