"""`dealquest db rest`: the engine's options on a command line."""

import attrs
import pytest
from cyclopts import App, UnknownOptionError

from dealquest.cli.rest import Options, rest
from dealquest.errors import InputError
from dealquest.storage.engine import EngineConfig

# What is no text of a command line, a secret and settings with names of their own; and where the command listens: the engine does not.
ELSEWHERE = {"jwt_secret", "app_settings", "server_host"}


def parse(*words: str) -> Options:
    app = App()
    app.default(rest)
    _, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    options = bound.arguments.get("options", Options())
    assert isinstance(options, Options)
    return options


def test_options_bear_postgrests_own_names() -> None:
    """A line for PostgREST's options says the same to the engine, several values included."""
    options = parse("--db-schemas", "api", "app", "--db-max-rows", "5", "--db-tx-end", "rollback", "--no-url-use-legacy-target-names")
    assert options == Options(db_schemas=("api", "app"), db_max_rows=5, db_tx_end="rollback", url_use_legacy_target_names=False)


def test_without_options_the_engine_does_what_it_does_elsewhere() -> None:
    """The command's defaults are the engine's own."""
    plain = EngineConfig()
    assert {name: value for name, value in attrs.asdict(parse(), recurse=False).items() if name not in ELSEWHERE} == {
        name: value for name, value in attrs.asdict(plain, recurse=False).items() if name not in ELSEWHERE
    }


def test_where_the_command_listens_is_an_option_too() -> None:
    """It listens on this machine alone unless told otherwise, and the root document names that address."""
    here, there = parse(), parse("--server-host", "0.0.0.0", "--server-port", "80")
    assert (here.server_host, here.server_port, there.server_host, there.server_port) == ("127.0.0.1", 3000, "0.0.0.0", 80)


@pytest.mark.parametrize("option", ["--jwt-secret", "--app-settings"])
def test_no_secret_is_an_argument(option: str) -> None:
    """The secret that signs tokens has no option: a process list would show it."""
    with pytest.raises(UnknownOptionError):
        parse(option, "x" * 32)


def test_a_database_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address the command says where one is looked for."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for name in ("HOST", "PORT", "USER", "PASSWORD", "DB"):
        monkeypatch.delenv(f"POSTGRES_{name}", raising=False)
    with pytest.raises(InputError) as caught:
        rest()
    assert caught.value.code == "cli.rest.database"
