"""The cinema database of these contracts, on the run's one PostgreSQL, and engines on it."""

import sys
from pathlib import Path

import psycopg
import pytest

from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.migrations import LOGIN_ROLE

sys.path.insert(0, str(Path(__file__).parent))  # tests are not a package, and these share `replay`


@pytest.fixture(scope="session")
def cinema(postgres: EmbeddedPostgres) -> str:
    """The login role's way into a database that no test changes for good."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as connection:
        connection.execute("create database cinema")
    with psycopg.connect(postgres.dsn(database="cinema"), autocommit=True) as connection:
        connection.execute((Path(__file__).parent / "schema.sql").read_bytes())
    return postgres.dsn(LOGIN_ROLE, database="cinema")


@pytest.fixture(scope="session")
def fair(postgres: EmbeddedPostgres, cinema: str) -> str:
    """The same way in, with the schema beside the cinema's that the cases of single pages are about."""
    with psycopg.connect(postgres.dsn(database="cinema"), autocommit=True) as connection:
        connection.execute((Path(__file__).parent / "fair.sql").read_bytes())
    return cinema


@pytest.fixture(scope="session")
def cinema_owner(postgres: EmbeddedPostgres, cinema: str) -> str:
    """The superuser's way in, beside the engine."""
    return postgres.dsn(database="cinema")
