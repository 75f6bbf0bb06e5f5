"""The engine: PostgREST's dialect answered on PostgreSQL inside this process.

`Engine` owns the pool, the catalog and the listener; `bind` makes it a `Transport` for one principal,
`asgi` an application that reads tokens. It starts no background task: a notification is looked for
when a request comes, so it lives on any event loop and needs no owner but its `aclose`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from dealquest.errors import DealQuestError, PeerUnavailableError, SettingsError
from dealquest.storage.postgrest.ast import Describe, Request
from dealquest.values import Clock, Principal, SystemClock
from dealquest.wire import HttpResponse

from . import catalog_sql
from .catalog import Catalog, Name, Table
from .catalog_load import load_catalog, read_rows
from .compile import Compiled, compile_request, find_table
from .config import EngineConfig
from .driver import Connection, Query
from .errors import refuse, refuse_sql, show_error
from .execute import Refused, Surroundings, encode_values, run_compiled, write_search_path
from .fragments import quote
from .identity import Identity, from_principal
from .negotiate import pick_schema
from .parse import Limits, parse_request, split_path, split_query
from .pool import Pool
from .response import Context, find_check, find_problem, write_response

if TYPE_CHECKING:
    from .asgi import EngineApp
    from .transport import EngineTransport

# Errors that a changed schema explains; the catalog is read again, at most once in this many seconds.
_STALE = frozenset({"42P01", "42703", "42883", "0A000", "42704"})
_NO_BODY = frozenset({204, 304})
_RELOAD_EVERY_S = 1.0
_LISTEN_EVERY_S = 0.05


class Engine:
    """PostgREST on PostgreSQL, in process. Open it with `Engine.open`, close it with `aclose`.

    Attributes:
        config: The options it runs with.
    """

    def __init__(self, dsn: str, config: EngineConfig, *, clock: Clock | None = None) -> None:
        self.config = config
        self._dsn = dsn
        self._clock = clock or SystemClock()
        self._pool = Pool(
            dsn,
            size=config.db_pool,
            wait_s=config.db_pool_acquisition_timeout,
            max_waiting=config.db_pool_max_waiting,
            max_prepared=config.prepared_per_connection,
        )
        self._catalog: Catalog | None = None
        self._limits = Limits(
            max_url_bytes=config.max_url_bytes,
            max_body_bytes=config.max_body_bytes,
            max_embed_depth=config.max_embed_depth,
            max_filters=config.max_filters,
            max_select_items=config.max_select_items,
        )
        self._pre_request = ".".join(quote(part) for part in (config.db_pre_request or "").split(".") if part)
        self._search_paths = {schema: write_search_path(schema, config.db_extra_search_path) for schema in config.db_schemas}
        self._settings: dict[str, tuple[tuple[str, str], ...]] = {}
        self._listener: Connection | None = None
        self._app: EngineApp | None = None
        self._listened_at = 0.0
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
            await engine._check_login()
            await engine.reload()
            await engine._listen()
        except BaseException:
            await engine.aclose()
            raise
        return engine

    async def __aenter__(self) -> "Engine":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; calling it twice is fine."""
        self._pool.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @property
    def catalog(self) -> Catalog:
        """The snapshot that requests are planned with now."""
        assert self._catalog is not None, "Engine.open reads the catalog"
        return self._catalog

    async def reload(self) -> None:
        """Read the catalog again and use it from the next request on."""
        async with self._reloading:
            connection = await self._pool.take()
            try:
                catalog = await load_catalog(
                    connection,
                    schemas=self.config.db_schemas,
                    search_path=self.config.db_extra_search_path,
                    hoisted=self.config.db_hoisted_tx_settings,
                )
            finally:
                self._pool.give_back(connection)
            self._catalog = catalog
            self._settings = {}
            self._reloaded_at = self._clock.monotonic()

    async def answer(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, identity: Identity, *, prefer: Sequence[str] = ()) -> HttpResponse:
        """Answer one request as an identity; every failure is an answer too.

        Args:
            method: Upper-case method.
            path: Path without query, encoded.
            query: Query text, encoded.
            headers: Lower-case names to values.
            body: The body.
            identity: Role and claims.
            prefer: Every `Prefer` header.
        """
        try:
            response = await self._answer(method, path, query, headers, body, identity, prefer)
        except DealQuestError as exc:
            response = _show(exc, head=method == "HEAD")
        return response if method == "HEAD" or response.status in _NO_BODY else _measure(response)

    async def _answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, identity: Identity, prefer: Sequence[str]
    ) -> HttpResponse:
        self._check_size(path, query, body)
        await self._look_for_changes()
        pairs = tuple(split_query(query))
        if method == "OPTIONS":
            return self._answer_options(path, headers)
        request = parse_request(method, path, pairs, headers, body, limits=self._limits, prefer=prefer)
        if isinstance(request, Describe):
            return await self._describe(request, identity)
        for attempt in range(2):
            compiled = compile_request(request, self.catalog, self.config)
            try:
                return await self._run(request, compiled, pairs, path, method, headers, identity)
            except Refused as exc:
                if attempt == 0 and exc.error.sqlstate in _STALE and await self._reload_if_due():
                    continue
                raise refuse_sql(exc.error, authenticated=identity.authenticated) from exc
        raise AssertionError("the second attempt answers or raises")

    async def _describe(self, request: Describe, identity: Identity) -> HttpResponse:
        raise refuse("PGRST126", "Root endpoint metadata is disabled")

    def _answer_options(self, path: str, headers: Mapping[str, str]) -> HttpResponse:
        """The methods that a path allows."""
        segments = split_path(path)
        schema = pick_schema(self.config.db_schemas, headers.get("accept-profile"))
        if not segments:
            allow = "OPTIONS,GET,HEAD"
        elif len(segments) == 2 and segments[0] == "rpc":
            overloads = self.catalog.functions.get(Name(schema, segments[1]), ())
            allow = "OPTIONS,GET,HEAD,POST" if any(routine.read_only for routine in overloads) else "OPTIONS,POST"
        elif len(segments) == 1:
            allow = _allowed_methods(find_table(self.catalog, Name(schema, segments[0])))
        else:
            raise refuse("PGRST125", "Invalid path specified in request URL")
        return HttpResponse(status=200, headers=(("allow", allow),))

    async def _run(
        self, request: Any, compiled: Compiled, pairs: tuple[tuple[str, str], ...], path: str, method: str, headers: Mapping[str, str], identity: Identity
    ) -> HttpResponse:
        timezone = request.prefer.timezone
        override = self.config.db_tx_end.endswith("allow-override")
        commit = self.config.db_tx_end.startswith("commit")
        if override and request.prefer.tx is not None:
            commit = request.prefer.tx == "commit"
        around = Surroundings(
            identity=identity,
            method=method,
            path=path,
            headers=headers,
            search_path=self._search_paths[compiled.schema],
            settings=self._settings_of(identity.role, compiled, timezone),
            pre_request=self._pre_request,
            commit=commit,
            prepared=self.config.db_prepared_statements,
        )
        answer = await run_compiled(self._pool, compiled, encode_values(compiled.values), around, find_check(request, compiled))
        problem = find_problem(request, compiled, answer) if compiled.format.explain is None else None
        if problem is not None:
            raise problem
        context = Context(
            pairs=pairs,
            path=path,
            multiple_schemas=len(self.config.db_schemas) > 1,
            tx_override=override,
            timezone=timezone,
            max_rows=self.config.db_max_rows,
        )
        return write_response(request, compiled, answer, context)

    def _settings_of(self, role: str, compiled: Compiled, timezone: str | None) -> tuple[tuple[str, str], ...]:
        settings = self._settings.get(role)
        if settings is None:
            timeout = (("statement_timeout", f"{round(self.config.statement_timeout_s * 1000)}"),)
            settings = (*self.config.app_settings.items(), *timeout, *self.catalog.role_settings.get(role, ()))
            self._settings[role] = settings
        if compiled.routine is not None and compiled.routine.settings:
            settings += compiled.routine.settings
        return settings if timezone is None else (*settings, ("timezone", timezone))

    def _check_size(self, path: str, query: str, body: bytes) -> None:
        if len(path) + len(query) > self._limits.max_url_bytes:
            raise refuse("PGRST100", f"The URL is longer than {self._limits.max_url_bytes} bytes.", status=414)
        if len(body) > self._limits.max_body_bytes:
            raise refuse("PGRST102", f"The body is larger than {self._limits.max_body_bytes} bytes.", status=413)

    async def _ask(self, sql: str) -> list[list[str | None]]:
        connection = await self._pool.take()
        try:
            outcome = await connection.run((Query(sql=sql.encode()),))
        finally:
            self._pool.give_back(connection)
        return [] if outcome.error is not None else read_rows(outcome.results[0])

    async def _check_login(self) -> None:
        rows = await self._ask(catalog_sql.LOGIN)
        name, is_super, _, bypasses, _ = rows[0]
        if (is_super == "true" or bypasses == "true") and not self.config.db_allow_superuser:
            raise SettingsError(
                f"The login role {name!r} is above row-level security. Log in as a role with NOSUPERUSER NOBYPASSRLS NOINHERIT "
                "that was granted the roles of the API, or set db_allow_superuser.",
                code="engine.login.superuser",
            )

    async def _listen(self) -> None:
        if not self.config.db_channel:
            return
        listener = await Connection.open(self._dsn)
        await listener.run((Query(sql=f"LISTEN {quote(self.config.db_channel)}".encode()),))
        self._listener = listener

    async def _look_for_changes(self) -> None:
        """Reload when the channel was notified; a lost listener is opened again, and counts as a notice."""
        if self._listener is None:
            return
        now = self._clock.monotonic()
        if now - self._listened_at < _LISTEN_EVERY_S:
            return
        self._listened_at = now
        try:
            changed = bool(self._listener.take_notifications())
        except PeerUnavailableError:
            await self._listen()
            changed = True
        if changed:
            await self.reload()

    async def _reload_if_due(self) -> bool:
        if self._clock.monotonic() - self._reloaded_at < _RELOAD_EVERY_S:
            return False
        await self.reload()
        return True

    def now(self) -> datetime:
        """The clock's time."""
        return self._clock.now()

    @property
    def allowed_roles(self) -> frozenset[str]:
        """Roles that a token may name."""
        return self.config.db_allowed_roles if self.config.db_allowed_roles is not None else self.catalog.roles

    @property
    def asgi(self) -> "EngineApp":
        """The engine as an ASGI application; one and the same object each time."""
        if self._app is None:
            from .asgi import EngineApp  # noqa: PLC0415  # the two know each other

            self._app = EngineApp(self)
        return self._app

    def bind(self, principal: Principal) -> "EngineTransport":
        """The engine as a transport for one principal, whom the program itself vouches for."""
        from .transport import EngineTransport  # noqa: PLC0415  # the two know each other

        return EngineTransport(self, from_principal(principal, anonymous=self.config.db_anon_role or "anon"))


def _allowed_methods(table: Table) -> str:
    methods = ["OPTIONS", "GET", "HEAD"]
    methods += ["POST"] if table.insertable else []
    methods += ["PUT"] if table.insertable and table.updatable and table.key else []
    methods += ["PATCH"] if table.updatable else []
    methods += ["DELETE"] if table.deletable else []
    return ",".join(methods)


def _measure(response: HttpResponse) -> HttpResponse:
    """Give an answer its length, in bytes."""
    return attrs.evolve(response, headers=(*response.headers, ("content-length", str(len(response.body)))))


def _show(error: DealQuestError, *, head: bool) -> HttpResponse:
    status, headers, body = show_error(error)
    return HttpResponse(status=status, headers=tuple(headers.items()), body=b"" if head else body)

