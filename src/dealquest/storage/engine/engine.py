"""The engine: PostgREST's dialect answered on PostgreSQL inside this process.

`Engine` owns the pool, the catalog and the listener; `bind` makes it a `Transport` for one principal,
`asgi` an application that reads tokens. It starts no background task: a notification is looked for
when a request comes, so it lives on any event loop and needs no owner but its `aclose`.
"""

from collections.abc import Callable, Sequence
from typing import Self

import anyio
import attrs
import msgspec

from dealquest.errors import DealQuestError, PeerUnavailableError
from dealquest.storage.postgrest.ast import NO_PAYLOAD, Call, Delete, Describe, Payload, Read, Request, Shape
from dealquest.storage.postgrest.errors import find_body
from dealquest.values import Clock, Principal, SystemClock
from dealquest.wire import HttpResponse

from .asgi import EngineApp
from .body import find_keys
from .catalog import Catalog
from .catalog_load import load_catalog
from .compile import Compiled, DataRequest, compile_request
from .config import EngineConfig
from .errors import refuse, refuse_sql, show_error
from .execute import Answer, Refused, Script, encode_values, run_script, write_script, write_search_path
from .fragments import Value, quote
from .identity import Identity, from_principal
from .incoming import Incoming
from .listen import Listener
from .login import check_login
from .media import JSON_FORMAT
from .negotiate import parse_media, pick_schema
from .openapi import VISIBLE, write_document
from .parse import Limits, read_request, split_query
from .paths import OPENAPI_TYPE, answer_options, check_root_media
from .pool import Pool
from .response import VARY, Context, Responder, find_check
from .shape import Shapes, Slot, SlotBody, SlotList, fill, take_apart
from .timing import timed
from .transport import EngineTransport
from .versions import VERSIONS

# Errors that a changed schema explains; the catalog is read again, at most once in this many seconds.
_STALE = frozenset({"42P01", "42703", "42883", "0A000", "42704"})
_RELOAD_EVERY_S = 1.0
_GRACE_S = 5.0
_CATALOG_S = 30.0


@attrs.frozen(kw_only=True)
class _Plan:
    """A compiled request with slots where its values go, good for every request of its shape."""

    request: DataRequest
    compiled: Compiled
    values: tuple[Value, ...]
    check: Callable[[Answer], DealQuestError | None] | None
    commit: bool
    responder: Responder
    scripts: dict[str, Script] = attrs.field(factory=dict, init=False)


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
        self._catalog: Catalog | None = None
        self._limits = Limits(
            max_url_bytes=config.max_url_bytes,
            max_body_bytes=config.max_body_bytes,
            max_embed_depth=config.max_embed_depth,
            max_filters=config.max_filters,
            max_select_items=config.max_select_items,
            legacy_target_names=config.url_use_legacy_target_names,
            not_null=self.version.not_null,
        )
        self._context = Context(
            multiple_schemas=len(config.db_schemas) > 1,
            tx_override=config.db_tx_end.endswith("allow-override"),
            max_rows=config.db_max_rows,
        )
        self._pre_request = ".".join(quote(part) for part in (config.db_pre_request or "").split(".") if part)
        self._search_paths = {schema: write_search_path(schema, config.db_extra_search_path) for schema in config.db_schemas}
        # PostgreSQL ends a statement itself; only a server that has gone silent is given up later.
        self._patience_s = config.statement_timeout_s + _GRACE_S if config.statement_timeout_s > 0 else None
        self._shapes: Shapes[_Plan] = Shapes(config.max_shapes)
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
        assert self._catalog is not None, "Engine.open reads the catalog"
        return self._catalog

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
            self._catalog = catalog
            self._listener.settle()
            self._shapes.clear()
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
        self._check_size(incoming)
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
            plan, values = self._plan(incoming)
            if isinstance(plan, Describe):
                try:
                    return await self._describe(plan, incoming, identity, deadline)
                except Refused as exc:
                    raise refuse_sql(exc.error, authenticated=identity.authenticated) from exc
            try:
                return await self._run(plan, values, incoming, identity, deadline)
            except PeerUnavailableError as exc:
                # A lost connection may be an old one; what only reads is asked once more on a new one.
                if attempt == 0 and exc.code == "engine.broken" and plan.compiled.read_only:
                    continue  # within the same deadline
                raise
            except Refused as exc:
                if attempt == 0 and exc.error.sqlstate in _STALE and await self._reload_if_due():
                    continue
                raise refuse_sql(exc.error, authenticated=identity.authenticated) from exc
        raise AssertionError("the second attempt answers or raises")

    def _answer_options(self, incoming: Incoming) -> HttpResponse:
        """The methods of a path; every step is timed, also those that have nothing to do."""
        with timed(incoming.timings, "parse", self.clock):
            asked = incoming._replace(method="HEAD")
            request = self._route_root(read_request(asked, split_query(incoming.query), limits=self._limits).request)
            assert isinstance(request, (Describe, Call, Read)), "HEAD asks for nothing else"
        with timed(incoming.timings, "plan", self.clock):
            options = answer_options(request, self.catalog, self.config.db_schemas)
        for step in ("transaction", "response"):
            with timed(incoming.timings, step, self.clock):
                pass
        return options

    def _route_root(self, request: Request) -> Request:
        """The root as what the operator wants of it.

        Raises:
            NotFoundError: PGRST126 when it is switched off.
        """
        if not isinstance(request, Describe):
            return request
        if self.config.openapi_mode == "disabled":
            raise refuse("PGRST126", "Root endpoint metadata is disabled")
        return request if self.config.db_root_spec is None else self._call_root(request, self.config.db_root_spec)

    def _plan(self, incoming: Incoming) -> tuple["_Plan | Describe", Sequence[Value]]:
        """The plan of a request, new or known, and its values."""
        keys, body = None, incoming.body
        if body:
            media = incoming.headers.get("content-type")
            keys = find_keys(incoming.path, incoming.query, Payload(body) if media is None else Payload(body, parse_media(media)))
        shaped = take_apart(incoming, keys)
        # Steps that a known plan spares would be missing from the timings, so a measured request is planned anew.
        known = self._shapes.find(shaped.key) if (keys is not None or not body) and incoming.timings is None else None
        if known is not None:
            return known, fill(known.values, shaped)
        with timed(incoming.timings, "parse", self.clock):
            read, renamed = read_request(incoming, split_query(incoming.query), limits=self._limits)
            request = self._route_root(read)
        if isinstance(request, Describe):
            return request, ()
        with timed(incoming.timings, "plan", self.clock):
            compiled = compile_request(request, self.catalog, self.config)
        given = compiled.values
        # A plan outlives its request, so it keeps no body; what is no slot is the same each time.
        slots = [SlotBody() if value is body else value for value in given]
        values = [value if isinstance(value, (Slot, SlotBody, SlotList)) else encode_values((value,))[0] for value in slots]
        compiled = attrs.evolve(compiled, values=())
        if not isinstance(request, (Read, Delete)):
            request = attrs.evolve(request, payload=NO_PAYLOAD)
        plan = _Plan(
            request=request,
            compiled=compiled,
            values=tuple(values),
            check=find_check(request, compiled),
            commit=self._commits(request),
            responder=Responder(request, compiled, self._context, renamed=renamed),
        )
        # A body that was rewritten, such as CSV, is part of the values and cannot be put in anew; nor can an estimate's filters.
        if not compiled.planned and (not body or (keys is not None and any(type(value) is SlotBody for value in values))):
            self._shapes.keep(shaped.key, plan)
        return plan, given

    def _commits(self, request: DataRequest) -> bool:
        commit = self.config.db_tx_end.startswith("commit")
        if self.config.db_tx_end.endswith("allow-override") and request.prefer.tx is not None:
            commit = request.prefer.tx == "commit"
        return commit

    def _call_root(self, request: Describe, function: str) -> Call:
        """The root as a call of the operator's own function."""
        shape = {field.name: getattr(request, field.name) for field in attrs.fields(Shape)}
        return Call(function=function, method="HEAD" if request.head else "GET", **shape)

    async def _describe(self, request: Describe, incoming: Incoming, identity: Identity, deadline: float | None) -> HttpResponse:
        """The root document, of what the role may use."""
        with timed(incoming.timings, "plan", self.clock):
            schema = pick_schema(self.config.db_schemas, request.profile)
            check_root_media(request.accept)
        visible: dict[str, list[str] | None] = {"tables": None, "functions": None}
        if self.config.openapi_mode == "follow-privileges":
            compiled = Compiled(sql=VISIBLE.encode(), values=(schema,), kind="read", schema=schema, read_only=True, format=JSON_FORMAT)
            script = self._write_script(compiled, identity.role)
            with timed(incoming.timings, "transaction", self.clock):
                answer = await run_script(self._pool, script, [schema.encode()], identity, incoming, deadline=deadline)
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

    async def _run(
        self, plan: "_Plan", values: Sequence[Value], incoming: Incoming, identity: Identity, deadline: float | None
    ) -> HttpResponse:
        script = plan.scripts.get(identity.role)
        if script is None:
            script = self._write_script(plan.compiled, identity.role, timezone=plan.request.prefer.timezone, commit=plan.commit)
            plan.scripts[identity.role] = script
        given = encode_values(values)
        if incoming.timings is None:
            answer = await run_script(self._pool, script, given, identity, incoming, check=plan.check, deadline=deadline)
            return plan.responder.write(answer, incoming)
        with timed(incoming.timings, "transaction", self.clock):
            answer = await run_script(self._pool, script, given, identity, incoming, check=plan.check, deadline=deadline)
        with timed(incoming.timings, "response", self.clock):
            return plan.responder.write(answer, incoming)

    def _write_script(self, compiled: Compiled, role: str, *, timezone: str | None = None, commit: bool = True) -> Script:
        return write_script(
            compiled,
            role=role,
            search_path=self._search_paths[compiled.schema],
            settings=self._settings_of(role, compiled, timezone),
            pre_request=self._pre_request,
            commit=commit,
            prepared=self.config.db_prepared_statements,
        )

    def _settings_of(self, role: str, compiled: Compiled, timezone: str | None) -> tuple[tuple[str, str], ...]:
        timeout = ("statement_timeout", f"{round(self.config.statement_timeout_s * 1000)}")
        settings = (*self.config.app_settings.items(), timeout, *self.catalog.role_settings.get(role, ()))
        if compiled.routine is not None and compiled.routine.settings:
            settings += compiled.routine.settings
        return settings if timezone is None else (*settings, ("timezone", timezone))

    def _check_size(self, incoming: Incoming) -> None:
        if len(incoming.path) + len(incoming.query) > self._limits.max_url_bytes:
            raise refuse("PGRST100", f"The URL is longer than {self._limits.max_url_bytes} bytes.", status=414)
        if len(incoming.body) > self._limits.max_body_bytes:
            raise refuse("PGRST102", f"The body is larger than {self._limits.max_body_bytes} bytes.", status=413)

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
