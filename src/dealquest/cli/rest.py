"""`dealquest db rest`: PostgREST for any database in one command; options bear PostgREST's own names."""

import sys
from collections.abc import Mapping
from typing import Annotated

import anyio
import attrs
from cyclopts import Parameter

from dealquest.errors import InputError, SettingsError
from dealquest.settings import load_settings
from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Secret

DRAIN_S = 10
_NOT_HERE = Parameter(parse=False)


@attrs.frozen(kw_only=True)
class Options(EngineConfig):
    """The engine's options, but for those that do not belong on a command line."""

    jwt_secret: Annotated[Secret | None, _NOT_HERE] = None
    app_settings: Annotated[Mapping[str, str], _NOT_HERE] = attrs.field(factory=dict, hash=False)
    server_host: str = "127.0.0.1"


def rest(
    *,
    db_uri: str | None = None,
    options: Annotated[Options | None, Parameter(name="*", consume_multiple=True)] = None,
) -> None:
    """Answer PostgREST's HTTP dialect over a PostgreSQL database. The JWT secret is read from JWT_SECRET.

    Args:
        db_uri: Address of a login role (NOINHERIT, no superuser); DATABASE_URL when left out.
        options: What the engine does, and where it listens.
    """
    settings = load_settings()
    uri = Secret(db_uri) if db_uri else settings.database_url
    if uri is None:
        raise InputError(
            "Name a database: --db-uri postgresql://role:password@host/database, or set DATABASE_URL.", code="cli.rest.database"
        )
    config = attrs.evolve(options or Options(), jwt_secret=settings.jwt_secret)
    anyio.run(_serve, uri, config)


async def _serve(uri: Secret, config: Options) -> None:
    host, port = config.server_host, config.server_port
    try:
        import uvicorn
    except ModuleNotFoundError as exc:
        raise SettingsError("Serving over HTTP needs uvicorn: pip install 'dealquest[http]'", code="http.missing") from exc
    async with await Engine.open(uri.reveal(), config) as engine:
        server = uvicorn.Server(uvicorn.Config(engine.asgi, host=host, port=port, log_level="warning", timeout_graceful_shutdown=DRAIN_S))
        print(f"dealquest answers PostgREST's dialect on http://{host}:{port}", file=sys.stderr)
        await server.serve()
