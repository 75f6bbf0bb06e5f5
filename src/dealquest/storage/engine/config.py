"""What the operator decides about the engine, under PostgREST's own option names.

A field `db_max_rows` is PostgREST's `db-max-rows`; defaults differ from PostgREST's only where a limit is missing there.
Source: https://docs.postgrest.org/en/latest/references/configuration.html, read 2026-11-22.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from dealquest.errors import SettingsError
from dealquest.values import Secret

from .versions import VersionName

TxEnd = Literal["commit", "commit-allow-override", "rollback", "rollback-allow-override"]
OpenApiMode = Literal["follow-privileges", "ignore-privileges", "disabled"]
ErrorVerbosity = Literal["verbose", "minimal"]

_OWN_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
_NOTHING: Mapping[str, str] = MappingProxyType({})


def _check_schemas(_: object, __: object, schemas: tuple[str, ...]) -> None:
    """PostgreSQL's own schemas are never an API."""
    own = _OWN_SCHEMAS.intersection(schemas)
    if own:
        raise SettingsError(f"db-schemas may not hold {', '.join(sorted(own))}.", code="engine.schemas")


@attrs.frozen(kw_only=True)
class EngineConfig:
    """Options of the engine.

    Attributes:
        dialect: The version of PostgREST that is answered as.
        db_schemas: Exposed schemas, the default one first.
        db_anon_role: Role of requests without a token; None refuses them.
        db_extra_search_path: Schemas whose functions and types may be used, but are not exposed.
        db_max_rows: Most rows of one answer, also inside embeds; None for no limit.
        db_aggregates_enabled: Whether `sum()` and the like may be asked.
        db_plan_enabled: Whether the explain output may be asked.
        db_tx_end: How transactions end, and whether `Prefer: tx` may change it.
        db_pre_request: Function called before each request, perhaps with its schema: `api.check`.
        db_pool: Most connections.
        db_pool_acquisition_timeout: Seconds a request waits for one.
        db_pool_max_waiting: Requests that may wait at once.
        db_prepared_statements: Whether statements stay prepared; off behind a pooler that shares sessions.
        db_pool_max_lifetime: Seconds after which a connection is not lent again; None for no limit.
        db_pool_max_idletime: Seconds that a connection may lie idle; None for no limit.
        db_root_spec: Function without parameters that answers the root instead of the engine's own document.
        db_channel: Channel that announces schema changes; empty listens to none.
        db_hoisted_tx_settings: Settings of a function that its whole transaction takes over.
        db_allowed_roles: Roles that a token may name; None means those the login role may become.
        db_allow_superuser: Whether to start although the login is a superuser, for whom no policy counts.
        statement_timeout_s: Seconds for one statement, 0 for no limit; a role's own setting goes first.
        jwt_secret: Shared secret, JWK or JWK set; None trusts no token.
        jwt_secret_is_base64: Whether the secret is base64.
        jwt_aud: Audience that a token must name, if any.
        jwt_role_claim_key: Path to the role in the claims.
        jwt_cache_max_entries: Verified tokens remembered.
        client_error_verbosity: `minimal` leaves details and hint out of every error.
        url_use_legacy_target_names: Whether a condition may call an embed by its relation although it has an alias;
            the answer then carries a warning.
        openapi_mode: What the root describes.
        openapi_security_active: Whether the root names the token in its security section.
        openapi_server_proxy_uri: The public address, for the root.
        server_host: Address that it is served on, which the root names when there is no public one; None names the address
            that the root was asked under, as a document without a host does.
        server_port: Port likewise.
        server_cors_allowed_origins: Origins that browsers may call from; None or none for any.
        server_trace_header: Request header that every answer sends back, empty when the request had none.
        server_timing_enabled: Whether answers carry `Server-Timing`.
        max_url_bytes: Longest path and query.
        max_body_bytes: Largest body.
        max_embed_depth: Levels of embeds.
        max_filters: Filters of a request.
        max_select_items: Columns and embeds of a request.
        prepared_per_connection: Statements each connection keeps prepared.
        max_shapes: Request shapes whose plan is kept.
        app_settings: `app.settings.*`, visible in every transaction.
    """

    dialect: VersionName = "postgrest16"
    db_schemas: tuple[str, ...] = attrs.field(default=("public",), validator=_check_schemas)
    db_anon_role: str | None = None
    db_extra_search_path: tuple[str, ...] = ("public",)
    db_max_rows: int | None = 1000
    db_aggregates_enabled: bool = False
    db_plan_enabled: bool = False
    db_tx_end: TxEnd = "commit"
    db_pre_request: str | None = None
    db_pool: int = 10
    db_pool_acquisition_timeout: float = 5.0
    db_pool_max_waiting: int = 1000
    db_pool_max_lifetime: float | None = 1800.0
    db_pool_max_idletime: float | None = 30.0
    db_prepared_statements: bool = True
    db_root_spec: str | None = None
    db_channel: str = "pgrst"
    db_hoisted_tx_settings: tuple[str, ...] = ("statement_timeout", "plan_filter.statement_cost_limit", "default_transaction_isolation")
    db_allowed_roles: frozenset[str] | None = None
    db_allow_superuser: bool = False
    statement_timeout_s: float = 10.0
    jwt_secret: Secret | None = None
    jwt_secret_is_base64: bool = False
    jwt_aud: str | None = None
    jwt_role_claim_key: str = "$.role"
    jwt_cache_max_entries: int = 1000
    client_error_verbosity: ErrorVerbosity = "verbose"
    url_use_legacy_target_names: bool = True
    openapi_mode: OpenApiMode = "follow-privileges"
    openapi_security_active: bool = False
    openapi_server_proxy_uri: str | None = None
    server_host: str | None = None
    server_port: int = 3000
    server_cors_allowed_origins: tuple[str, ...] | None = None
    server_trace_header: str | None = None
    server_timing_enabled: bool = False
    max_url_bytes: int = 16 * 1024
    max_body_bytes: int = 8 * 1024 * 1024
    max_embed_depth: int = 8
    max_filters: int = 200
    max_select_items: int = 500
    prepared_per_connection: int = 256
    max_shapes: int = 1024
    app_settings: Mapping[str, str] = attrs.field(default=_NOTHING, hash=False)
