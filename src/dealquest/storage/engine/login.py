"""Whether the login role may serve: not when row-level security does not count for it."""

from dealquest.errors import SettingsError

from . import catalog_sql
from .batch import Query
from .catalog_load import read_rows
from .pool import Pool


async def check_login(pool: Pool) -> None:
    """Refuse a login role that is above policies.

    Raises:
        PeerUnavailableError: `engine.connect` when PostgreSQL cannot be reached.
        SettingsError: `engine.login.superuser`.
    """
    connection = await pool.take()
    try:
        outcome = await connection.run((Query(sql=catalog_sql.LOGIN.encode()),))
    finally:
        pool.give_back(connection)
    name, is_super, _, bypasses, _ = read_rows(outcome.results[0])[0]
    if "true" in {is_super, bypasses}:
        raise SettingsError(
            f"The login role {name!r} is above row-level security. Log in as a role with NOSUPERUSER NOBYPASSRLS NOINHERIT "
            "that was granted the roles of the API, or set db_allow_superuser.",
            code="engine.login.superuser",
        )
