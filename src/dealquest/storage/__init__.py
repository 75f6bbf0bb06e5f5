"""What outlives a request: PostgREST client, engine, embedded PostgreSQL, migrations.

Each name is loaded when it is first asked for, so that the client needs no driver.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .database import Database, open_database
    from .embedded import EmbeddedPostgres
    from .postgrest.client import Postgrest, Table
    from .postgrest.conditions import all_of, any_of, col, negate
    from .postgrest.dialects import DIALECTS, DialectName
    from .postgrest.errors import ErrorBody, find_body
    from .postgrest.query import embed
    from .postgrest.reads import Page
    from .reviving import Reviver, RevivingTransport
    from .signed import SignedTransport

__all__ = [
    "DIALECTS",
    "Database",
    "DialectName",
    "EmbeddedPostgres",
    "ErrorBody",
    "Page",
    "Postgrest",
    "Reviver",
    "RevivingTransport",
    "SignedTransport",
    "Table",
    "all_of",
    "any_of",
    "col",
    "embed",
    "find_body",
    "negate",
    "open_database",
]

_HOMES = {
    "DIALECTS": "postgrest.dialects",
    "Database": "database",
    "DialectName": "postgrest.dialects",
    "EmbeddedPostgres": "embedded",
    "ErrorBody": "postgrest.errors",
    "Page": "postgrest.reads",
    "Postgrest": "postgrest.client",
    "Reviver": "reviving",
    "RevivingTransport": "reviving",
    "SignedTransport": "signed",
    "Table": "postgrest.client",
    "all_of": "postgrest.conditions",
    "any_of": "postgrest.conditions",
    "col": "postgrest.conditions",
    "embed": "postgrest.query",
    "find_body": "postgrest.errors",
    "negate": "postgrest.conditions",
    "open_database": "database",
}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
