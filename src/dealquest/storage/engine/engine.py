"""The engine: PostgREST's dialect answered on PostgreSQL inside this process.

`Engine` owns the pool, the catalog and the listener; `bind` makes it a `Transport` for one principal,
`asgi` an application that reads tokens. It starts no background task: a notification is looked for
when a request comes, so it lives on any event loop and needs no owner but its `aclose`.
"""

from typing import Self

import anyio
import msgspec

from dealquest.errors import DealQuestError, PeerUnavailableError
from dealquest.storage.postgrest.ast import Call, Describe, Read
from dealquest.storage.postgrest.errors import find_body
from dealquest.values import Clock, Principal, SystemClock
from dealquest.wire import HttpResponse

from .asgi import EngineApp
from .catalog import Catalog
from .catalog_load import load_catalog
from .compile import Compiled
from .config import EngineConfig
from .errors import refuse_sql, show_error
from .execute import Refused, run_script, write_batch
from .identity import Identity, from_principal
from .incoming import Incoming
from .listen import Listener
from .login import check_login
from .media import JSON_FORMAT
from .negotiate import pick_schema
from .openapi import VISIBLE, write_document
from .paths import OPENAPI_TYPE, answer_options, check_root_media
from .pool import Pool
from .prepare import Prepared, Preparer
from .response import VARY
from .timing import timed
from .transport import EngineTransport
from .versions import VERSIONS

# Errors that a changed schema explains; the catalog is read again, at most once in this many seconds.
_STALE = frozenset({"42P01", "42703", "42883", "0A000", "42704"})
_RELOAD_EVERY_S = 1.0
_GRACE_S = 5.0
_CATALOG_S = 30.0


class Engine:
    """PostgREST on PostgreSQL, in process. Open it with `Engine.open`, close it with `aclose`.

    Attributes:
        config: The options it runs with.
        clock: Where its time comes from.
        version: The version of PostgREST that it answers as.
    """

    def __init__(self, dsn: str, config: EngineConfig, *, clock: Clock | None = None) -> None:
        self.config = config
        self.version = VERSIONS[config.dialect]
        self.clock = clock or SystemClock()
        self._pool = Pool(
            dsn,
            size=config.db_pool,
            wait_s=config.db_pool_acquisition_timeout,
            max_waiting=config.db_pool_max_waiting,
            max_prepared=config.prepared_per_connection,
            max_age_s=config.db_pool_max_lifetime,
            max_idle_s=config.db_pool_max_idletime,
            clock=self.clock,
        )
        # PostgreSQL ends a statement itself; only a server that has gone silent is given up later.
        self._patience_s = config.statement_timeout_s + _GRACE_S if config.statement_timeout_s > 0 else None
        self._preparer = Preparer(config, self.version, self.clock)
        self._listener = Listener(dsn, config.db_channel, self.clock)
        self._app: EngineApp | None = None
        self._reloaded_at = 0.0
        self._reloading = anyio.Lock()

    @classmethod
    async def open(cls, dsn: str, config: EngineConfig | None = None, *, clock: Clock | None = None) -> "Engine":
        """Log in, check the login's rights and read the catalog.

        Args:
            dsn: libpq's connection text or URL of a login role.
            config: Options.
            clock: Where time comes from.

        Raises:
            PeerUnavailableError: `engine.connect` when PostgreSQL cannot be reached.
            SettingsError: `engine.login.superuser` when policies would not count for the login role.
        """
        engine = cls(dsn, config or EngineConfig(), clock=clock)
        try:
            if not engine.config.db_allow_superuser:
                await check_login(engine._pool)
            await engine.reload()
            await engine._listener.open()
        except BaseException:
            await engine.aclose()
            raise
        return engine

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; calling it twice is fine."""
        self._pool.close()
        self._listener.close()

    @property
    def catalog(self) -> Catalog:
        """The snapshot that requests are planned with now."""
        return self._preparer.catalog

    async def reload(self) -> None:
        """Read the catalog again and use it from the next request on."""
        async with self._reloading:
            connection = await self._pool.take()
            try:
                with anyio.fail_after(_CATALOG_S):
                    catalog = await load_catalog(
                        connection,
                        schemas=self.config.db_schemas,
                        search_path=self.config.db_extra_search_path,
                        hoisted=self.config.db_hoisted_tx_settings,
                    )
            finally:
                self._pool.give_back(connection)
            self._preparer.learn(catalog)
            self._listener.settle()
            self._reloaded_at = self.clock.monotonic()

    async def answer(self, incoming: Incoming, identity: Identity) -> HttpResponse:
        """Answer one request as an identity; what the database or the request did wrong is an answer too.

        Raises:
            TimeoutError: When the request's own `timeout_s` is over.
            PeerUnavailableError: `engine.connect` when PostgreSQL was not reached; `engine.broken` when the
                connection was lost, so that a change may or may not have happened.
        """
        try:
            return self.version.show(await self._answer(incoming, identity))
        except PeerUnavailableError as exc:
            if find_body(exc) is None:
                raise
            return self.show(exc, head=incoming.method == "HEAD")
        except DealQuestError as exc:
            return self.show(exc, head=incoming.method == "HEAD")

    def show(self, error: DealQuestError, *, head: bool) -> HttpResponse:
        """An error as the answer that the options want."""
        status, headers, body = show_error(error, minimal=self.config.client_error_verbosity == "minimal", version=self.version)
        if head:
            return self.version.show(HttpResponse(status=status, headers=tuple(headers.items())))
        return self.version.show(HttpResponse(status=status, headers=(*headers.items(), ("content-length", str(len(body)))), body=body))

    async def _answer(self, incoming: Incoming, identity: Identity) -> HttpResponse:
        now = self.clock.monotonic()
        time_s = incoming.timeout_s if incoming.timeout_s is not None else self._patience_s
        deadline = None if time_s is None else now + time_s
        if self._listener.is_due(now):
            with anyio.fail_after(time_s):
                if await self._listener.look():
                    await self.reload()
        if incoming.method == "OPTIONS":
            return self._answer_options(incoming)
        for attempt in range(2):
            prepared = self._preparer.prepare(incoming, identity)
            try:
                if isinstance(prepared, Describe):
                    return await self._describe(prepared, incoming, identity, deadline)
                if incoming.timings is not None:
                    return await self._run_measured(prepared, incoming, deadline)
                answer = await run_script(self._pool, prepared.script, prepared.batch, deadline)
                return prepared.plan.responder.write(answer, prepared.location)
            except PeerUnavailableError as exc:
                # A lost connection may be an old one; what only reads is asked once more on a new one.
                lost = exc.code == "engine.broken" and not isinstance(prepared, Describe) and prepared.plan.compiled.read_only
                if attempt == 0 and lost:
                    continue  # within the same deadline
                raise
            except Refused as exc:
                stale = exc.error.sqlstate in _STALE and not isinstance(prepared, Describe)
                if attempt == 0 and stale and await self._reload_if_due():
                    continue
                raise refuse_sql(exc.error, authenticated=identity.authenticated) from exc
        raise AssertionError("the second attempt answers or raises")

    def _answer_options(self, incoming: Incoming) -> HttpResponse:
        """The methods of a path; every step is timed, also those that have nothing to do."""
        with timed(incoming.timings, "parse", self.clock):
            asked = incoming._replace(method="HEAD")
            request = self._preparer.read(asked).request
            assert isinstance(request, (Describe, Call, Read)), "HEAD asks for nothing else"
        with timed(incoming.timings, "plan", self.clock):
            options = answer_options(request, self.catalog, self.config.db_schemas)
        for step in ("transaction", "response"):
            with timed(incoming.timings, step, self.clock):
                pass
        return options

    async def _describe(self, request: Describe, incoming: Incoming, identity: Identity, deadline: float | None) -> HttpResponse:
        """The root document, of what the role may use."""
        with timed(incoming.timings, "plan", self.clock):
            schema = pick_schema(self.config.db_schemas, request.profile)
            check_root_media(request.accept)
        visible: dict[str, list[str] | None] = {"tables": None, "functions": None}
        if self.config.openapi_mode == "follow-privileges":
            compiled = Compiled(sql=VISIBLE.encode(), values=(schema,), kind="read", schema=schema, read_only=True, format=JSON_FORMAT)
            script = self._preparer.write_script(compiled, identity.role)
            with timed(incoming.timings, "transaction", self.clock):
                answer = await run_script(self._pool, script, write_batch(script, [schema.encode()], identity, incoming), deadline)
            visible = msgspec.json.decode(answer.body)
        with timed(incoming.timings, "response", self.clock):
            document = write_document(self.catalog, self.config, schema, tables=visible["tables"], functions=visible["functions"])
        headers = [("content-type", OPENAPI_TYPE), VARY]
        if len(self.config.db_schemas) > 1 or request.profile is not None:
            headers.append(("content-profile", schema))
        body = b"" if request.head else msgspec.json.encode(document)
        if not request.head:
            headers.append(("content-length", str(len(body))))
        return HttpResponse(status=200, headers=tuple(headers), body=body)

    async def _run_measured(self, prepared: Prepared, incoming: Incoming, deadline: float | None) -> HttpResponse:
        with timed(incoming.timings, "transaction", self.clock):
            answer = await run_script(self._pool, prepared.script, prepared.batch, deadline)
        with timed(incoming.timings, "response", self.clock):
            return prepared.plan.responder.write(answer, prepared.location)

    async def _reload_if_due(self) -> bool:
        if self.clock.monotonic() - self._reloaded_at < _RELOAD_EVERY_S:
            return False
        await self.reload()
        return True

    @property
    def allowed_roles(self) -> frozenset[str]:
        """Roles that a token may name."""
        return self.config.db_allowed_roles if self.config.db_allowed_roles is not None else self.catalog.roles

    @property
    def asgi(self) -> EngineApp:
        """The engine as an ASGI application; one and the same object each time."""
        if self._app is None:
            self._app = EngineApp(self)
        return self._app

    def bind(self, principal: Principal) -> EngineTransport:
        """The engine as a transport for one principal, whom the program itself vouches for."""
        return EngineTransport(self, from_principal(principal, anonymous=self.config.db_anon_role or "anon"))
