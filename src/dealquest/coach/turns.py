"""The durable conversation: receive, claim, decide, commit once, deliver.

Every step is one call of a SQL function, so it is one transaction on every backend that speaks
PostgREST. A worker may die anywhere: an update stays open until a whole turn is committed, and a
turn is committed once. Knows no transport; adapters bring events and take replies.
"""

import random
import secrets
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Protocol, TypeVar

import anyio
import attrs
import msgspec

from dealquest.errors import ConflictError, DealQuestError, InputError, PeerError, PeerUnavailableError, UnknownOutcomeError
from dealquest.tracing import trace
from dealquest.values import Clock, Principal, SystemClock

from .dialogue import Effect, EffectResult, Event, Failed, Flow, Person, Reply, Scene, Turn, View, catalogue, converse, storable
from .effects import Caller, Effects, OnPartial, restore
from .scorecard import ScoreCard

LEASE_S = 15.0
MAX_FAILURES = 4
RELEASE_TIMEOUT_S = 2.0

T = TypeVar("T")


class Call(Protocol):
    """A call that was described and not sent yet."""

    def __await__(self) -> Generator[Any, Any, Any]:
        """Send it once."""
        ...

    def repeatable(self) -> Awaitable[Any]:
        """Send it, again if the connection breaks: doing it twice does no harm."""
        ...


class Records(Protocol):
    """What is needed of storage: SQL functions by name. `dealquest.storage.Postgrest` has it."""

    def rpc(self, name: str, /, **arguments: Any) -> Call:
        """A function with JSON arguments and a JSON result."""
        ...


@attrs.frozen(kw_only=True)
class Delivery:
    """A reply that waits to be delivered.

    Attributes:
        id: To mark it as sent.
        update_id: The event it answers.
        seq: Its place among the replies to that event, from 0.
        chat: Where it belongs.
        reply: What to say.
        attempts: How often delivery began, this one included.
        placeholder: What the adapter stored with `note_placeholder` for this event.
    """

    id: int
    update_id: int
    seq: int
    chat: str
    reply: Reply
    attempts: int = 1
    placeholder: Any = None


@attrs.frozen(kw_only=True)
class Done:
    """A turn that was committed by this worker.

    Attributes:
        event: What was answered.
        deliveries: Its replies, in order.
        held_s: Seconds from now for which nobody else delivers them, and nothing waits in their chat before them but
            what this worker holds; 0: take them with `deliveries`.
    """

    event: Event
    deliveries: tuple[Delivery, ...]
    held_s: float = 0.0


@attrs.frozen(kw_only=True)
class Begun:
    """An event that this worker has claimed, with all that its turn may look at."""

    event: Event
    attempts: int
    steps: dict[str, Any]
    view: View
    sealed_keys: dict[str, str] = attrs.field(repr=False)

    def caller(self, on_partial: OnPartial | None) -> Caller:
        return Caller(user=self.view.user, sealed_keys=self.sealed_keys, on_partial=on_partial)


class Turns:
    """The coach behind an inbox and an outbox.

    Args:
        records: Storage with the rights of the service role.
        effects: Performs what flows ask for.
        is_admin: Whether a person sees the admin views; nobody does when left out.
        worker: This process's name in leases, unique among those that run.
        clock: Where time comes from.
        lease_s: Seconds after which another worker may take over a turn whose worker went silent.
        hold_s: Seconds for which committed replies are held for this worker to deliver.
    """

    def __init__(
        self,
        records: Records,
        *,
        effects: Effects,
        worker: str,
        is_admin: Callable[[Person], Awaitable[bool]] | None = None,
        clock: Clock | None = None,
        lease_s: float = LEASE_S,
        hold_s: float = 0.0,
    ) -> None:
        self._records = records
        self._effects = effects
        self._is_admin = is_admin
        self._worker = worker
        self._clock = clock or SystemClock()
        self._lease_s = lease_s
        self._hold_s = hold_s

    async def receive(self, events: Sequence[Event]) -> int:
        """Store events before anything is done with them; known ones change nothing.

        Returns:
            How many were new.

        Raises:
            InputError: `coach.event.job`: a job comes from a turn, never from outside.
        """
        _refuse_jobs(events)
        stored: int = await self._call("receive_updates", updates=_packed(events))
        return stored

    async def receive_and_begin(self, events: Sequence[Event]) -> tuple[int, Begun | None]:
        """Store events, and claim the first of them in the same call: for a worker that has nothing else to do.

        Returns:
            How many were new, and the claim; None when that event is not free.

        Raises:
            InputError: `coach.event.job`, as in `receive`.
        """
        _refuse_jobs(events)
        stored = await self._call("receive_and_take", updates=_packed(events), for_worker=self._worker, lease_s=self._lease_s)
        return stored["new"], None if stored["claim"] is None else _claimed(stored["claim"])

    async def hand_back(self, begun: Begun) -> None:
        """Give a claim up untouched."""
        await self._call("release_update", for_source=begun.event.source, for_update_id=begun.event.update_id, for_worker=self._worker)

    async def work(
        self,
        source: str,
        *,
        chat: str | None = None,
        update_id: int | None = None,
        only_jobs: bool = False,
        on_partial: Callable[[Event, str], Awaitable[None]] | None = None,
    ) -> Done | None:
        """Claim the oldest open event of a chat that nobody works on, and finish its turn.

        Args:
            source: The channel.
            chat: Only this conversation.
            update_id: Only this event.
            only_jobs: Only what earlier turns left to be done later.
            on_partial: Is shown an answer while it is written.

        Returns:
            The committed turn, or None when there was nothing to claim or another worker finished it first.

        Raises:
            DealQuestError: Storage failed; the event stays open and is tried again later.
        """
        answer = await self._claim(
            "take_update",
            for_source=source,
            for_worker=self._worker,
            lease_s=self._lease_s,
            for_chat=chat,
            for_update_id=update_id,
            only_jobs=only_jobs,
        )
        if answer is None:
            return None
        return await self.finish(_claimed(answer), on_partial=on_partial)

    async def finish(self, begun: Begun, *, on_partial: Callable[[Event, str], Awaitable[None]] | None = None) -> Done | None:
        """Finish the turn of an event that is claimed already; see `work`."""
        caller = begun.caller(None if on_partial is None else partial(on_partial, begun.event))
        async with _Attempt(self._records, begun, self._worker):
            async with trace(_pipeline(begun), user=_principal(begun)):
                turn = await self._decide(begun, caller)
            return await self._commit(begun, turn)

    async def deliveries(self, source: str, *, chat: str | None = None, most: int = 20, lease_s: float = LEASE_S) -> list[Delivery]:
        """Take replies that wait, in order per chat; each is held for `lease_s` seconds."""
        rows = await self._claim("claim_replies", for_source=source, for_worker=self._worker, lease_s=lease_s, for_chat=chat, most=most)
        return msgspec.convert(rows, list[Delivery])

    async def replies_to(self, source: str, update_id: int) -> list[Delivery] | None:
        """The replies to one event, delivered or not; None while its turn is open."""
        rows = await self._call("replies_of", for_source=source, for_update_id=update_id)
        return None if rows is None else msgspec.convert(rows, list[Delivery])

    async def mark_sent(self, delivery: Delivery, reference: Any = None) -> bool:
        """The reply arrived; `reference` is the channel's own id of it. False: it was marked before."""
        marked: bool = await self._call("mark_sent", reply_id=delivery.id, for_worker=self._worker, reference=reference)
        return marked

    async def mark_unsent(self, delivery: Delivery, reason: str, *, retry_in_s: float = 0.0, give_up: bool = False) -> bool:
        """The reply did not arrive: try again later, or keep it as a dead letter."""
        marked: bool = await self._call(
            "mark_unsent", reply_id=delivery.id, for_worker=self._worker, reason=reason, retry_in_s=retry_in_s, give_up=give_up
        )
        return marked

    async def is_next(self, event: Event) -> bool:
        """Whether nothing older of the event's chat waits for its turn, and no reply for its delivery."""
        is_next: bool = await self._call("is_next_in_chat", for_source=event.source, for_chat=event.chat, for_update_id=event.update_id)
        return is_next

    async def note_placeholder(self, event: Event, reference: Any) -> None:
        """Remember the channel's placeholder message of an event, so that a repeat edits it instead of sending anew."""
        await self._call("save_step", for_source=event.source, for_update_id=event.update_id, for_step="placeholder", step_result=reference)

    async def take_lease(self, name: str, *, lease_s: float) -> bool:
        """Take, or keep, a job that one process does at a time."""
        held: bool = await self._call("take_lease", lease_name=name, by_holder=self._worker, lease_s=lease_s)
        return held

    async def drop_lease(self, name: str) -> None:
        """Hand that job back."""
        await self._call("drop_lease", lease_name=name, by_holder=self._worker)

    async def sweep(self) -> int:
        """Forget finished events after some days; returns how many."""
        gone: int = await self._call("sweep_conversations")
        return gone

    def _call(self, function: str, /, **arguments: Any) -> Awaitable[Any]:
        # The function tells a repeat by its keys, so an unknown outcome is settled by asking again.
        return self._records.rpc(function, **arguments).repeatable()

    async def _claim(self, function: str, /, **arguments: Any) -> Any:
        # A claim whose answer was lost must not be made twice: what it took is free again when its lease ends.
        try:
            return await self._records.rpc(function, **arguments)
        except UnknownOutcomeError as exc:
            raise PeerUnavailableError("The connection to the records broke during a claim.", code="coach.claim_lost") from exc

    async def _decide(self, claim: Begun, caller: Caller) -> Turn:
        language = claim.view.user.language
        scene = Scene(
            view=claim.view,
            event=claim.event,
            pack=await self._effects.pack(language, named=[claim.view.state.scenario_id or "", claim.event.text]),
            texts=catalogue(language),
            now=self._clock.now(),
            rng=random.Random(f"{claim.event.source}:{claim.event.update_id}"),  # noqa: S311  # a choice of scenario, not a secret
            fence=secrets.token_hex(12),
            house=self._effects.house,
            offline=not self._effects.has_model(caller),
            is_admin=self._is_admin is not None and await self._is_admin(claim.event.user),
        )
        flow: Flow = converse(scene)
        step = 0
        result: EffectResult | None = None
        while True:
            try:
                effect = next(flow) if result is None else flow.send(result)
            except StopIteration as end:
                turn: Turn = end.value
                return turn
            result = await self._perform(claim, caller, effect, f"effect-{step}")
            step += 1

    async def _perform(self, claim: Begun, caller: Caller, effect: Effect, step: str) -> EffectResult:
        if step in claim.steps:
            return restore(effect, claim.steps[step])
        result = await self._while_leased(claim, lambda: self._effects.perform(effect, caller))
        if not effect.paid or isinstance(result, Failed) or (isinstance(result, ScoreCard) and result.is_offline):
            return result
        # A model may say what no database stores; the flow goes on with what was stored, as a repeat would.
        kept = _storable(msgspec.to_builtins(result))
        await self._call("save_step", for_source=claim.event.source, for_update_id=claim.event.update_id, for_step=step, step_result=kept)
        return restore(effect, kept)

    async def _while_leased(self, claim: Begun, call: Callable[[], Awaitable[T]]) -> T:
        """Run a slow call and keep the claim alive meanwhile; a lost claim ends the call."""
        results: list[T] = []
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._renew, claim, group.cancel_scope)
                results.append(await call())
                group.cancel_scope.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None  # the call's own error; the group around it is our doing
        if not results:
            raise ConflictError("Another worker took this message over.", code="coach.lease_lost")
        return results[0]

    async def _renew(self, claim: Begun, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(self._lease_s / 3)
            try:
                kept = await self._call(
                    "renew_lease",
                    for_source=claim.event.source,
                    for_update_id=claim.event.update_id,
                    for_worker=self._worker,
                    lease_s=self._lease_s,
                )
            except PeerError:
                continue  # the lease lasts a while longer, and the commit decides
            if not kept:
                scope.cancel()

    async def _commit(self, claim: Begun, turn: Turn) -> Done | None:
        stored = await self._call("finish_turn", turn=_packed(_turn_row(claim, turn, self._worker, self._hold_s)))
        if stored is None:
            return None
        event, target = claim.event, stored["target"]
        deliveries = tuple(
            Delivery(id=reply_id, update_id=event.update_id, seq=seq, chat=event.reply_chat or event.chat, reply=reply, placeholder=target)
            for seq, (reply_id, reply) in enumerate(zip(stored["ids"], turn.replies, strict=True))
        )
        return Done(event=event, deliveries=deliveries, held_s=self._hold_s if stored["is_next"] else 0.0)


class _Attempt:
    """Around one turn: whatever ends it early is written down, and the event is handed back."""

    def __init__(self, records: Records, claim: Begun, worker: str) -> None:
        self._records = records
        self._claim = claim
        self._worker = worker

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None) -> None:
        if error is None:
            return
        event = self._claim.event
        names = {"for_source": event.source, "for_update_id": event.update_id, "for_worker": self._worker}
        with anyio.move_on_after(RELEASE_TIMEOUT_S, shield=True):
            if not isinstance(error, Exception) or (isinstance(error, DealQuestError) and error.code == "coach.lease_lost"):
                await self._records.rpc("release_update", **names).repeatable()
            elif not isinstance(error, PeerError | UnknownOutcomeError):
                # A fault of ours must not block the chat for ever: after some failures the event is set aside, and the user is told.
                texts = catalogue(self._claim.view.user.language)
                # A job that fails was not asked for by anybody who waits, so nobody is told.
                apology = None if event.kind == "job" else Reply(text=texts.say("apology.dead", number=f"{event.update_id}"))
                await self._records.rpc(
                    "fail_update",
                    **names,
                    reason=f"{type(error).__name__}: {error}",
                    retry_in_s=float(2**self._claim.attempts),
                    max_failures=MAX_FAILURES,
                    apology=msgspec.to_builtins(apology),
                ).repeatable()


def _packed(value: Any) -> Any:
    """The value written as JSON in one pass; what holds a character that no database takes is left for the ordinary way to refuse."""
    try:
        content = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.to_builtins(value)
    return msgspec.to_builtins(value) if b"\\u0000" in content else msgspec.Raw(content)


def _refuse_jobs(events: Sequence[Event]) -> None:
    if any(event.kind == "job" for event in events):
        raise InputError("Jobs are started by turns; no channel may send one.", code="coach.event.job")


def _claimed(answer: dict[str, Any]) -> Begun:
    known = {name: answer[name] for name in ("user", "progress", "seen", "bests", "recent_scores")}
    view = msgspec.convert({**known, "state": answer["state"] or {}}, View)
    event = msgspec.convert(answer["event"], Event)
    return Begun(event=event, attempts=answer["attempts"], steps=answer["steps"], view=view, sealed_keys=answer["sealed_keys"])


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list | tuple) else value


def _pipeline(claim: Begun) -> str:
    """The name of the trace: the mode while a scenario is open, else the plain conversation."""
    state = claim.view.state
    if claim.event.kind == "job":
        return f"job.{claim.event.text}"
    if state.at == "roleplay":
        return state.at
    return state.mode if state.at == "answering" and state.mode is not None else "conversation"


def _principal(claim: Begun) -> Principal:
    known = claim.event.user.telegram_id
    return Principal(role="authenticated", subject=str(claim.view.user.id), claims={} if known is None else {"telegram_id": known})


def _turn_row(claim: Begun, turn: Turn, worker: str, hold_s: float) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(turn)
    if turn.attempt is not None:
        row["attempt"] |= {"score": turn.attempt.card.total, "scorer": turn.attempt.card.scorer}
    return row | {
        "source": claim.event.source,
        "update_id": claim.event.update_id,
        "user_id": claim.view.user.id,
        "worker": worker,
        "hold_s": hold_s,
        "target": _message_to_edit(claim.event, turn),
    }


def _message_to_edit(event: Event, turn: Turn) -> int | None:
    """The message whose button was pressed, when the first reply may take its place."""
    return event.message_id if event.kind == "button" and turn.replies and turn.replies[0].edit else None
