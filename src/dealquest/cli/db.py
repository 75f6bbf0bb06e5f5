"""`dealquest db`: how the database stands, and bringing it up to date."""

from cyclopts import App

from dealquest.errors import InputError
from dealquest.settings import Settings, load_settings
from dealquest.storage import open_database
from dealquest.storage.migrations import bundled, status
from dealquest.storage.migrations import migrate as run_migrations

app = App(name="db", help="The database: status, migrations, and PostgREST over any of them.")
app.command("dealquest.cli.rest:rest", name="rest", help="Answer PostgREST's HTTP dialect over any PostgreSQL database.")


@app.command(name="status")
def show_status() -> None:
    """Show which migrations ran, which are pending, and which files changed since."""
    settings = _settings()
    with open_database(settings.home, settings.database_url, migrated=False) as database:
        state = status(database.owner_dsn)
        where = f"embedded, in {settings.home}" if database.is_embedded else "DATABASE_URL"
    print(f"database: {where}")
    for migration in bundled():
        mark = "changed" if migration.name in state.changed else "done" if migration.name in state.applied else "pending"
        print(f"  {mark:8} {migration.name}")


@app.command
def migrate() -> None:
    """Run the pending migrations, each in its own transaction."""
    settings = _settings()
    with open_database(settings.home, settings.database_url, migrated=False) as database:
        done = run_migrations(database.owner_dsn)
    print("\n".join(f"ran {name}" for name in done) or "nothing to do: the database is up to date")


def _settings() -> Settings:
    settings = load_settings()
    if settings.remote_records is not None and settings.database_url is None:
        raise InputError(
            "The records are remote, and migrations need PostgreSQL itself: set DATABASE_URL to it.",
            code="cli.db.remote",
        )
    return settings
