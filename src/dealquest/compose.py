"""Where parts meet: settings in, a working kit out. Opens parts in order, closes them in reverse, owns background tasks."""

import os
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import anyio
import attrs
from anyio import to_thread

from dealquest.coach.pack import Pack
from dealquest.coach.scenarios import builtin_packs, load_pack
from dealquest.coach.scoring import Scorer, SignalScorer
from dealquest.coach.turns import LEASE_S, Turns
from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.storage import DIALECTS, DialectName, Postgrest, RevivingTransport
from dealquest.tracing import Collector, PostgrestSink, Redactor, Tracer, installed_tracer
from dealquest.values import SERVICE, Clock, Principal, Secret, SystemClock
from dealquest.wire import Transport, open_transport

if TYPE_CHECKING:
    from dealquest.llm import Router
    from dealquest.storage.database import Database
    from dealquest.storage.engine import Engine

T = TypeVar("T")

CHECK_TIMEOUT_S = 15.0


@attrs.frozen(kw_only=True)
class Kit:
    """The parts, ready to use.

    Attributes:
        settings: What the operator decided.
        clock: Where time comes from.
        records: Storage with the rights of the service role.
        engine: PostgREST in process; None when the records are remote.
        transport_of: The engine with the rights of somebody; brings an embedded server back that died. None as above.
        remote: The remote records without a credential, for requests that bring their own; None when they are here.
        llm: The model router; None without any model.
        scorer: Scores answers, with a model where there is one.
        offline_scorer: Scores answers by signals.
    """

    settings: Settings
    clock: Clock
    records: Postgrest
    engine: "Engine | None"
    transport_of: Callable[[Principal], Transport] | None
    remote: Transport | None
    llm: "Router | None"
    scorer: Scorer
    offline_scorer: Scorer

    def turns(self, *, worker: str = "", lease_s: float = LEASE_S, hold_s: float = 0.0) -> Turns:
        """The durable conversation, for one worker."""
        return Turns(
            self.records,
            packs=pack_for,
            scorer=self.scorer,
            offline_scorer=self.offline_scorer,
            worker=worker or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            clock=self.clock,
            lease_s=lease_s,
            hold_s=hold_s,
        )


def pack_for(language: str) -> Pack:
    """The built-in pack of a language; English where there is none."""
    name = language.split("-", maxsplit=1)[0].casefold()
    return load_pack(name if name in builtin_packs() else "en")


@asynccontextmanager
async def open_kit(settings: Settings, *, clock: Clock | None = None) -> AsyncIterator[Kit]:
    """Open what the settings ask for.

    Raises:
        SettingsError: A part cannot be used as it is set.
        PeerUnavailableError: The database does not answer.
    """
    async with AsyncExitStack() as stack:
        found = await _open_records(stack, settings)
        await _open_tracing(stack, settings, PostgrestSink(found.transport, prefix=DIALECTS[found.dialect].tables))
        offline = SignalScorer()
        llm, scorer = await _open_model(stack, settings)
        yield Kit(
            settings=settings,
            clock=clock or SystemClock(),
            records=Postgrest(found.transport, dialect=found.dialect),
            engine=found.engine,
            transport_of=found.transport_of,
            remote=found.remote,
            llm=llm,
            scorer=scorer or offline,
            offline_scorer=offline,
        )


@asynccontextmanager
async def open_service_transport(settings: Settings) -> AsyncIterator[tuple[Transport, DialectName]]:
    """The records with the rights of the service role, as a transport: for commands that need nothing else.

    Raises:
        SettingsError: A part cannot be used as it is set.
        PeerUnavailableError: The database does not answer.
    """
    async with AsyncExitStack() as stack:
        found = await _open_records(stack, settings)
        yield found.transport, found.dialect


async def _open_model(stack: AsyncExitStack, settings: Settings) -> "tuple[Router | None, Scorer | None]":
    if not settings.has_model:
        return None, None
    from dealquest.coach.scoring import ModelScorer  # noqa: PLC0415  # whoever plays offline does not wait for it
    from dealquest.llm import Router  # noqa: PLC0415  # see above

    llm = await stack.enter_async_context(Router.from_settings(settings))
    return llm, ModelScorer(llm)


async def _open_tracing(stack: AsyncExitStack, settings: Settings, sink: PostgrestSink) -> None:
    """Spans go to the records; what cannot be delivered waits in the data folder for the next start."""
    try:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise SettingsError(
            f"The data folder {settings.home} cannot be used ({exc.strerror}). Set DEALQUEST_HOME to a folder you may write.",
            code="storage.home",
        ) from exc
    secrets = [value for value in attrs.asdict(settings, recurse=False).values() if isinstance(value, Secret)]
    collector = Collector([sink], spool=settings.home / "traces", redactor=Redactor([*secrets, *settings.encryption_keys]))
    await stack.enter_async_context(collector)
    stack.enter_context(installed_tracer(Tracer(collector)))


@attrs.frozen(kw_only=True)
class _Records:
    transport: Transport
    dialect: DialectName
    engine: "Engine | None" = None
    transport_of: Callable[[Principal], Transport] | None = None
    remote: Transport | None = None


async def _open_records(stack: AsyncExitStack, settings: Settings) -> _Records:
    if settings.insforge_base_url is not None:
        key = settings.access_api_key
        if key is None:
            raise SettingsError(
                "INSFORGE_BASE_URL is set, but ACCESS_API_KEY is not: the coach needs the key that acts as project_admin.",
                code="settings.invalid",
            )
        service = await stack.enter_async_context(open_transport(settings.insforge_base_url, headers=(("x-api-key", key.reveal()),)))
        remote = await stack.enter_async_context(open_transport(settings.insforge_base_url))
        return _Records(transport=service, dialect="insforge", remote=remote)
    engine, database = await _open_engine(stack, settings)

    def transport_of(principal: Principal) -> Transport:
        bound = engine.bind(principal)
        return RevivingTransport(bound, database.revive, SystemClock()) if database.is_embedded else bound

    return _Records(transport=transport_of(SERVICE), dialect="postgrest16", engine=engine, transport_of=transport_of)


async def _open_engine(stack: AsyncExitStack, settings: Settings) -> "tuple[Engine, Database]":
    try:
        from dealquest.storage.database import open_database  # noqa: PLC0415  # the extra `postgres`
        from dealquest.storage.engine import Engine, EngineConfig  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if exc.name != "psycopg":
            raise
        raise SettingsError(
            "PostgreSQL's driver is not installed. Install dealquest[embedded], or set INSFORGE_BASE_URL.", code="storage.no_embedded"
        ) from exc
    database = await stack.enter_async_context(_in_thread(open_database(settings.home, settings.database_url)))
    config = EngineConfig(db_anon_role="anon", jwt_secret=settings.jwt_secret)
    return await stack.enter_async_context(await Engine.open(database.login_dsn, config)), database


@asynccontextmanager
async def _in_thread(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A synchronous context, entered and left in a worker thread; leaving is not interrupted."""
    value = await to_thread.run_sync(manager.__enter__)
    try:
        yield value
    finally:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(manager.__exit__, None, None, None)
