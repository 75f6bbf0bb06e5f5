"""`dealquest db rest`: PostgREST for any database in one command; options bear PostgREST's own names."""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import anyio
from cyclopts import Parameter

from dealquest.errors import InputError, SettingsError
from dealquest.settings import load_settings
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Secret

DRAIN_S = 10


def rest(
    *,
    db_uri: str | None = None,
    dialect: Literal["postgrest12", "postgrest13", "postgrest16"] = "postgrest16",
    db_schemas: Annotated[Sequence[str], Parameter(consume_multiple=True)] = ("public",),
    db_anon_role: str | None = None,
    db_extra_search_path: Annotated[Sequence[str], Parameter(consume_multiple=True)] = ("public",),
    db_max_rows: int | None = 1000,
    db_pool: int = 10,
    db_pool_acquisition_timeout: float = 5.0,
    db_pool_max_lifetime: float = 1800.0,
    db_pool_max_idletime: float = 30.0,
    db_channel: str = "pgrst",
    db_root_spec: str | None = None,
    db_pre_request: str | None = None,
    db_aggregates_enabled: bool = False,
    db_plan_enabled: bool = False,
    db_tx_end: Literal["commit", "commit-allow-override", "rollback", "rollback-allow-override"] = "commit",
    db_allow_superuser: bool = False,
    jwt_aud: str | None = None,
    jwt_role_claim_key: str = "$.role",
    jwt_secret_is_base64: bool = False,
    client_error_verbosity: Literal["verbose", "minimal"] = "verbose",
    url_use_legacy_target_names: bool = True,
    openapi_mode: Literal["follow-privileges", "ignore-privileges", "disabled"] = "follow-privileges",
    openapi_security_active: bool = False,
    openapi_server_proxy_uri: str | None = None,
    server_cors_allowed_origins: Annotated[Sequence[str], Parameter(consume_multiple=True)] = (),
    server_timing_enabled: bool = False,
    server_trace_header: str | None = None,
    server_host: str = "127.0.0.1",
    server_port: int = 3000,
) -> None:
    """Answer PostgREST's HTTP dialect over a PostgreSQL database. The JWT secret is read from JWT_SECRET.

    Args:
        db_uri: Address of a login role (NOINHERIT, no superuser); DATABASE_URL when left out.
        dialect: The version of PostgREST that is answered as.
        db_schemas: Exposed schemas, the default one first.
        db_anon_role: Role of requests without a token; without it they are refused.
        db_extra_search_path: Schemas whose functions and types may be used, but are not exposed.
        db_max_rows: Most rows of one answer.
        db_pool: Most connections.
        db_pool_acquisition_timeout: Seconds a request waits for one.
        db_pool_max_lifetime: Seconds after which a connection is not lent again.
        db_pool_max_idletime: Seconds that a connection may lie idle.
        db_channel: Channel that announces schema changes; empty listens to none.
        db_root_spec: Function that answers the root.
        db_pre_request: Function called before each request.
        db_aggregates_enabled: Whether sum() and the like may be asked.
        db_plan_enabled: Whether the explain output may be asked.
        db_tx_end: How transactions end.
        db_allow_superuser: Start although the login is a superuser, for whom no policy counts.
        jwt_aud: Audience that a token must name.
        jwt_role_claim_key: Path to the role in the claims.
        jwt_secret_is_base64: Whether the secret is base64.
        client_error_verbosity: minimal leaves details and hint out of every error.
        url_use_legacy_target_names: Whether a condition may call an embed by its relation although it has an alias.
        openapi_mode: What the root describes.
        openapi_security_active: Whether the root names the token in its security section.
        openapi_server_proxy_uri: The public address, for the root.
        server_cors_allowed_origins: Origins that browsers may call from; any when left out.
        server_timing_enabled: Whether answers carry Server-Timing.
        server_trace_header: Request header that is sent back.
        server_host: Address to listen on.
        server_port: Port to listen on.
    """
    settings = load_settings()
    uri = db_uri or (settings.database_url.reveal() if settings.database_url else None)
    if uri is None:
        raise InputError(
            "Name a database: --db-uri postgresql://role:password@host/database, or set DATABASE_URL.", code="cli.rest.database"
        )
    config = EngineConfig(
        dialect=dialect,
        db_schemas=tuple(db_schemas),
        db_anon_role=db_anon_role,
        db_extra_search_path=tuple(db_extra_search_path),
        db_max_rows=db_max_rows,
        db_pool=db_pool,
        db_pool_acquisition_timeout=db_pool_acquisition_timeout,
        db_pool_max_lifetime=db_pool_max_lifetime,
        db_pool_max_idletime=db_pool_max_idletime,
        db_channel=db_channel,
        db_root_spec=db_root_spec,
        db_pre_request=db_pre_request,
        db_aggregates_enabled=db_aggregates_enabled,
        db_plan_enabled=db_plan_enabled,
        db_tx_end=db_tx_end,
        db_allow_superuser=db_allow_superuser,
        jwt_secret=settings.jwt_secret,
        jwt_aud=jwt_aud,
        jwt_role_claim_key=jwt_role_claim_key,
        jwt_secret_is_base64=jwt_secret_is_base64,
        client_error_verbosity=client_error_verbosity,
        url_use_legacy_target_names=url_use_legacy_target_names,
        openapi_mode=openapi_mode,
        openapi_security_active=openapi_security_active,
        openapi_server_proxy_uri=openapi_server_proxy_uri,
        server_cors_allowed_origins=tuple(server_cors_allowed_origins) or None,
        server_timing_enabled=server_timing_enabled,
        server_trace_header=server_trace_header,
    )
    anyio.run(_serve, Secret(uri), config, server_host, server_port)


async def _serve(uri: Secret, config: EngineConfig, host: str, port: int) -> None:
    try:
        import uvicorn
    except ModuleNotFoundError as exc:
        raise SettingsError("Serving over HTTP needs uvicorn: pip install 'dealquest[http]'", code="http.missing") from exc
    async with await Engine.open(uri.reveal(), config) as engine:
        server = uvicorn.Server(uvicorn.Config(engine.asgi, host=host, port=port, log_level="warning", timeout_graceful_shutdown=DRAIN_S))
        print(f"dealquest answers PostgREST's dialect on http://{host}:{port}", file=sys.stderr)
        await server.serve()
