"""Where parts meet: settings in, a working kit out. Opens parts in order, closes them in reverse, owns background tasks."""

import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from functools import lru_cache, partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import attrs
from anyio import to_thread

from dealquest.auth import AccessPolicy
from dealquest.coach import (
    LEASE_S,
    Admission,
    Ears,
    Effects,
    Knowledge,
    Media,
    Models,
    NameRows,
    NotesFolder,
    Pack,
    Scorer,
    SignalScorer,
    Turns,
    builtin_packs,
    load_pack,
)
from dealquest.coach.dialogue import House, Person
from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.storage import DIALECTS, DialectName, Postgrest, Reviver, RevivingTransport
from dealquest.tracing import Collector, Limits, PostgrestSink, Redactor, Tracer, installed_tracer
from dealquest.values import SERVICE, Clock, Principal, Secret, SystemClock
from dealquest.wire import Transport, open_transport

if TYPE_CHECKING:
    from dealquest.llm import Router
    from dealquest.storage import Database
    from dealquest.storage.engine import Engine

T = TypeVar("T")

TRACE_TICK_S = 0.25
CHECK_TIMEOUT_S = 15.0


@attrs.frozen(kw_only=True)
class Kit:
    """The parts, ready to use.

    Attributes:
        settings: What the operator decided.
        clock: Where time comes from.
        records: Storage with the rights of the service role.
        engine: PostgREST in process; None when the records are remote.
        transport_of: The records with the rights of somebody: the engine, which brings an embedded server back that died, or
            a PostgREST of the operator's own. None where InsForge holds them.
        remote: The remote records without a credential, for requests that bring their own; None when they are here.
        llm: The model router; None without any model.
        scorer: Scores answers, with the team's model where there is one.
        offline_scorer: Scores answers by signals.
        house: What the settings offer to every user.
        models: Which model answers whom; None without any.
        ears: Speech to text; None without a speech service.
        knowledge: The team's notes.
        admission: Who may use the coach, and who is an admin.
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
    house: House
    models: Models | None
    ears: Ears | None
    knowledge: Knowledge
    admission: Admission

    def turns(
        self,
        *,
        worker: str = "",
        lease_s: float = LEASE_S,
        hold_s: float = 0.0,
        media: Media | None = None,
        is_admin: Callable[[Person], Awaitable[bool]] | None = None,
    ) -> Turns:
        """The durable conversation, for one worker.

        Args:
            worker: This process's name in leases.
            lease_s: Seconds after which a silent worker's turn may be taken over.
            hold_s: Seconds for which committed replies are held for this worker.
            media: The channel's files; without them voice and photos are declined.
            is_admin: Who sees the admin views; when left out those whom the settings list, and the terminal's user.
        """
        effects = Effects(
            packs=pack_for,
            looks=self.records,
            house=self.house if media is not None else attrs.evolve(self.house, hears=False),
            models=self.models,
            ears=self.ears,
            media=media,
            knowledge=self.knowledge,
            offline_scorer=self.offline_scorer,
        )
        return Turns(
            self.records,
            effects=effects,
            is_admin=is_admin or self.admission.is_admin,
            worker=worker or f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
            clock=self.clock,
            lease_s=lease_s,
            hold_s=hold_s,
        )


@lru_cache(maxsize=64)
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
        clock = clock or SystemClock()
        llm, models = await _open_models(stack, settings, clock)
        ears = await _open_ears(stack, settings)
        records = Postgrest(found.transport, dialect=found.dialect)
        policy = AccessPolicy.from_lists(settings.allowed_usernames, settings.admin_usernames)
        yield Kit(
            settings=settings,
            clock=clock,
            records=records,
            engine=found.engine,
            transport_of=found.transport_of,
            remote=found.remote,
            llm=llm,
            scorer=offline if llm is None else _model_scorer(llm),
            offline_scorer=offline,
            house=House(
                shared_model="" if llm is None else llm.routes[0].model,
                stores_keys=bool(settings.encryption_keys),
                hears=ears is not None,
                searches=settings.openrouter_api_key is not None,
            ),
            models=models,
            ears=ears,
            knowledge=NotesFolder(_notes_folder(settings), records, budget_tokens=settings.knowledge_tokens),
            admission=Admission(policy, NameRows(records, clock)),
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


async def _open_models(stack: AsyncExitStack, settings: Settings, clock: Clock) -> "tuple[Router | None, Models | None]":
    if not settings.has_model and not settings.encryption_keys:
        return None, None
    from dealquest.coach import RouterModels  # noqa: PLC0415  # whoever plays offline does not wait for it
    from dealquest.llm import Router  # noqa: PLC0415  # see above
    from dealquest.vault import Vault  # noqa: PLC0415  # see above

    wire = await stack.enter_async_context(open_transport())
    llm = await stack.enter_async_context(Router.from_settings(settings, transport=wire)) if settings.has_model else None
    vault = None
    if settings.encryption_keys:
        vault = Vault(settings.encryption_keys, other_secrets=[settings.jwt_secret] if settings.jwt_secret else [])
    return llm, RouterModels(llm, vault=vault, settings=settings, transport=wire, clock=clock)


async def _open_ears(stack: AsyncExitStack, settings: Settings) -> "Ears | None":
    if settings.whisper_base_url is None and settings.assemblyai_api_key is None:
        return None
    from dealquest.coach import TranscriberEars  # noqa: PLC0415  # whoever only types does not wait for it
    from dealquest.transcription import Transcriber  # noqa: PLC0415  # see above

    return TranscriberEars(await stack.enter_async_context(Transcriber.from_settings(settings)))


def _notes_folder(settings: Settings) -> Path:
    """The operator's notes, else the small playbook that ships."""
    folder = settings.knowledge_dir
    if folder is None:
        return Path(str(resources.files("dealquest.coach") / "notes"))
    if not folder.is_dir():
        raise SettingsError(f"KNOWLEDGE_DIR names {folder}, which is no folder. Make it, or unset the variable.", code="settings.invalid")
    return folder


def _model_scorer(llm: "Router") -> Scorer:
    from dealquest.coach import ModelScorer  # noqa: PLC0415  # whoever plays offline does not wait for it

    return ModelScorer(llm)


async def _open_tracing(stack: AsyncExitStack, settings: Settings, sink: PostgrestSink) -> None:
    """Spans go to the records; what cannot be delivered waits in the data folder for the next start."""
    try:
        await to_thread.run_sync(partial(settings.home.mkdir, mode=0o700, parents=True, exist_ok=True))
    except OSError as exc:
        raise SettingsError(
            f"The data folder {settings.home} cannot be used ({exc.strerror}). Set DEALQUEST_HOME to a folder you may write.",
            code="storage.home",
        ) from exc
    secrets = [value for value in attrs.asdict(settings, recurse=False).values() if isinstance(value, Secret)]
    collector = Collector(
        [sink],
        spool=settings.home / "traces",
        redactor=Redactor([*secrets, *settings.encryption_keys]),
        # A conversation makes a handful of spans a second: gathered, they cost a tenth of the sends.
        limits=Limits(tick_s=TRACE_TICK_S),
    )
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
    if settings.postgrest_base_url is not None:
        return await _open_postgrest(stack, settings, settings.postgrest_base_url)
    engine, database = await _open_engine(stack, settings)

    reviver = Reviver(database.revive, SystemClock())

    def transport_of(principal: Principal) -> Transport:
        bound = engine.bind(principal)
        return RevivingTransport(bound, reviver) if database.is_embedded else bound

    return _Records(transport=transport_of(SERVICE), dialect="postgrest16", engine=engine, transport_of=transport_of)


async def _open_postgrest(stack: AsyncExitStack, settings: Settings, address: str) -> _Records:
    from dealquest.storage import SignedTransport  # noqa: PLC0415  # few have a PostgREST of their own

    secret = settings.jwt_secret
    if secret is None:
        raise SettingsError(
            "POSTGREST_BASE_URL is set, but JWT_SECRET is not: requests are signed with that server's own `jwt-secret`.",
            code="settings.invalid",
        )
    wire = await stack.enter_async_context(open_transport(address))

    def transport_of(principal: Principal) -> Transport:
        return SignedTransport(wire, principal, secret=secret, clock=SystemClock())

    return _Records(transport=transport_of(SERVICE), dialect="postgrest16", transport_of=transport_of)


async def _open_engine(stack: AsyncExitStack, settings: Settings) -> "tuple[Engine, Database]":
    try:
        from dealquest.storage import open_database  # noqa: PLC0415  # the extra `postgres`
        from dealquest.storage.engine import Engine, EngineConfig  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        if exc.name != "psycopg":
            raise
        raise SettingsError(
            "PostgreSQL's driver is not installed. Install dealquest[embedded], or set INSFORGE_BASE_URL.", code="storage.no_embedded"
        ) from exc
    database = await stack.enter_async_context(_in_thread(open_database(settings.home, settings.database_url)))
    config = EngineConfig(db_anon_role="anon", jwt_secret=settings.jwt_secret, max_body_bytes=settings.http_max_body_bytes)
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
