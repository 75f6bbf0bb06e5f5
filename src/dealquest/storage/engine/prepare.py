"""A request → its transaction: plans by shape, and in front of them requests that were asked before.

Knows the catalog and the options, and asks nothing of PostgreSQL itself.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import attrs

from dealquest.errors import DealQuestError
from dealquest.storage.postgrest.ast import NO_PAYLOAD, Call, Delete, Describe, Read, Request, Shape
from dealquest.values import Clock

from .batch import Query
from .body import Keys, find_keys
from .catalog import Catalog
from .compile import Compiled, DataRequest, compile_request
from .config import EngineConfig
from .errors import refuse
from .execute import Answer, Script, encode_values, write_batch, write_script, write_search_path
from .fragments import Value, quote
from .identity import Identity
from .incoming import Incoming
from .parse import Limits, Parsed, read_request, split_query
from .response import Context, Responder, find_check
from .shape import Recent, Slot, SlotBody, SlotList, fill, take_apart
from .timing import timed
from .versions import Version

# Requests that are remembered as they are, and how long their query may be.
_REMEMBERED = 4096
_SHORT = 512


@attrs.frozen(kw_only=True)
class Plan:
    """A compiled request with slots where its values go, good for every request of its shape.

    Attributes:
        request: The request, without its body.
        compiled: Its statement, without values.
        values: Slots and fixed values, in order.
        check: What makes an answer count.
        commit: Whether a good end is a COMMIT.
        responder: Writes its answers.
        reusable: Whether its slots are all that differs between requests of its shape.
        scripts: Its transactions by role.
    """

    request: DataRequest
    compiled: Compiled
    values: tuple[Value, ...]
    check: Callable[[Answer], DealQuestError | None] | None
    commit: bool
    responder: Responder
    reusable: bool
    scripts: dict[str, Script] = attrs.field(factory=dict, init=False)


class Prepared(NamedTuple):
    """A request down to its transaction, good whenever the same identity asks the same.

    Attributes:
        plan: Its plan.
        script: The plan's transaction for the identity's role.
        batch: The statements with their values.
        location: `Content-Location` of the answer.
    """

    plan: Plan
    script: Script
    batch: Sequence[Query]
    location: str

    def carry(self, body: bytes) -> "Prepared":
        """The same with one body of its shape."""
        place = self.script.place
        sql, values, key = self.batch[place]
        batch = [*self.batch]
        batch[place] = Query(sql, [body if type(value) is SlotBody else value for value in values], key)
        return Prepared(self.plan, self.script, batch, self.location)


class Preparer:
    """Prepares requests by one catalog at a time; `learn` comes first.

    Args:
        config: The options.
        version: The version of PostgREST to answer as.
        clock: For `Server-Timing`.
    """

    def __init__(self, config: EngineConfig, version: Version, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._catalog: Catalog | None = None
        self._limits = Limits(
            max_url_bytes=config.max_url_bytes,
            max_body_bytes=config.max_body_bytes,
            max_embed_depth=config.max_embed_depth,
            max_filters=config.max_filters,
            max_select_items=config.max_select_items,
            legacy_target_names=config.url_use_legacy_target_names,
            not_null=version.not_null,
        )
        self._context = Context(
            multiple_schemas=len(config.db_schemas) > 1,
            tx_override=config.db_tx_end.endswith("allow-override"),
            max_rows=config.db_max_rows,
            minimal_errors=config.client_error_verbosity == "minimal",
        )
        self._pre_request = ".".join(quote(part) for part in (config.db_pre_request or "").split(".") if part)
        self._search_paths = {schema: write_search_path(schema, config.db_extra_search_path) for schema in config.db_schemas}
        self._plans: Recent[Plan] = Recent(config.max_shapes)
        self._known: Recent[Prepared] = Recent(_REMEMBERED)

    @property
    def catalog(self) -> Catalog:
        """The snapshot that requests are planned with."""
        assert self._catalog is not None, "Engine.open reads the catalog"
        return self._catalog

    def learn(self, catalog: Catalog) -> None:
        """Plan with this catalog from now on; what was made with another is forgotten."""
        self._catalog = catalog
        self._plans.clear()
        self._known.clear()

    def prepare(self, incoming: Incoming, identity: Identity) -> Prepared | Describe:
        """A request's transaction, or the wish for the root document.

        Raises:
            DealQuestError: PGRST1xx and PGRST2xx codes: the request cannot be understood, or does not fit the catalog.
        """
        body = incoming.body
        self._check_size(incoming)
        keys = _find_keys(incoming) if body else None
        key = (incoming.method, incoming.path, incoming.query, incoming.head, identity.role, identity.claims, keys)
        # Steps that a known request spares would be missing from the timings, so a measured request is planned anew.
        known = self._known.find(key) if incoming.timings is None and (keys is not None or not body) else None
        if known is not None:
            return known.carry(body) if body else known
        plan, values = self._plan(incoming, keys)
        if isinstance(plan, Describe):
            return plan
        script = plan.scripts.get(identity.role)
        if script is None:
            script = plan.scripts[identity.role] = self.write_script(plan.compiled, identity.role, plan=plan)
        batch = write_batch(script, encode_values(values), identity, incoming)
        prepared = Prepared(plan, script, batch, plan.responder.locate(incoming))
        if not plan.reusable:
            return prepared
        if len(incoming.query) <= _SHORT:
            self._known.keep(key, prepared)
        return prepared.carry(body) if body else prepared

    def read(self, incoming: Incoming) -> Parsed:
        """A request as its tree; the root is what the operator wants of it.

        Raises:
            InputError: PGRST1xx codes.
            NotFoundError: PGRST126 when the root is switched off.
        """
        self._check_size(incoming)
        parsed = read_request(incoming, split_query(incoming.query), limits=self._limits)
        return parsed._replace(request=self._route_root(parsed.request)) if isinstance(parsed.request, Describe) else parsed

    def write_script(self, compiled: Compiled, role: str, *, plan: Plan | None = None) -> Script:
        """The transaction of a statement under a role; without a plan it only reads."""
        return write_script(
            compiled,
            role=role,
            search_path=self._search_paths[compiled.schema],
            settings=self._settings_of(role, compiled, None if plan is None else plan.request.prefer.timezone),
            pre_request=self._pre_request,
            commit=plan is None or plan.commit,
            prepared=self._config.db_prepared_statements,
            check=None if plan is None else plan.check,
        )

    def _check_size(self, incoming: Incoming) -> None:
        if len(incoming.path) + len(incoming.query) > self._config.max_url_bytes:
            raise refuse("PGRST100", f"The URL is longer than {self._config.max_url_bytes} bytes.", status=414)
        if len(incoming.body) > self._config.max_body_bytes:
            raise refuse("PGRST102", f"The body is larger than {self._config.max_body_bytes} bytes.", status=413)

    def _plan(self, incoming: Incoming, keys: Keys | None) -> tuple[Plan | Describe, Sequence[Value]]:
        """The plan of a request, new or known, and its values; the body's place is kept where the plan is."""
        body = incoming.body
        shaped = take_apart(incoming, keys)
        known = self._plans.find(shaped.key) if (keys is not None or not body) and incoming.timings is None else None
        if known is not None:
            return known, fill(known.values, shaped)
        with timed(incoming.timings, "parse", self._clock):
            request, renamed = self.read(incoming)
        if isinstance(request, Describe):
            return request, ()
        with timed(incoming.timings, "plan", self._clock):
            compiled = compile_request(request, self.catalog, self._config)
        given = compiled.values
        # A plan outlives its request, so it keeps no body; what is no slot is the same each time.
        slots = [SlotBody() if value is body else value for value in given]
        values = [value if isinstance(value, (Slot, SlotBody, SlotList)) else encode_values((value,))[0] for value in slots]
        compiled = attrs.evolve(compiled, values=())
        if not isinstance(request, (Read, Delete)):
            request = attrs.evolve(request, payload=NO_PAYLOAD)
        # A body that was rewritten, such as CSV, is part of the values and cannot be put in anew; nor can an estimate's filters.
        reusable = not compiled.planned and (not body or (keys is not None and any(type(value) is SlotBody for value in values)))
        plan = Plan(
            request=request,
            compiled=compiled,
            values=tuple(values),
            check=find_check(request, compiled),
            commit=self._commits(request),
            responder=Responder(request, compiled, self._context, renamed=renamed),
            reusable=reusable,
        )
        if not reusable:
            return plan, given
        self._plans.keep(shaped.key, plan)
        return plan, fill(plan.values, shaped)

    def _route_root(self, request: Describe) -> Request:
        if self._config.openapi_mode == "disabled":
            raise refuse("PGRST126", "Root endpoint metadata is disabled")
        return request if self._config.db_root_spec is None else self._call_root(request, self._config.db_root_spec)

    def _commits(self, request: DataRequest) -> bool:
        commit = self._config.db_tx_end.startswith("commit")
        if self._config.db_tx_end.endswith("allow-override") and request.prefer.tx is not None:
            commit = request.prefer.tx == "commit"
        return commit

    def _call_root(self, request: Describe, function: str) -> Call:
        """The root as a call of the operator's own function."""
        shape = {field.name: getattr(request, field.name) for field in attrs.fields(Shape)}
        return Call(function=function, method="HEAD" if request.head else "GET", **shape)

    def _settings_of(self, role: str, compiled: Compiled, timezone: str | None) -> tuple[tuple[str, str], ...]:
        timeout = ("statement_timeout", f"{round(self._config.statement_timeout_s * 1000)}")
        settings = (*self._config.app_settings.items(), timeout, *self.catalog.role_settings.get(role, ()))
        if compiled.routine is not None and compiled.routine.settings:
            settings += compiled.routine.settings
        return settings if timezone is None else (*settings, ("timezone", timezone))


def _find_keys(incoming: Incoming) -> Keys | None:
    """What the body adds to the request's shape; None for one that is no JSON."""
    if not incoming.head.is_json:
        return None
    # A PUT has no columns of its own choosing, so its rows are alike whatever the query says.
    uniform = incoming.method == "PUT" or "columns=" not in incoming.query
    return find_keys(incoming.body, call=incoming.path.startswith("/rpc/"), uniform=uniform)
