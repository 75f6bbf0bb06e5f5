"""An older PostgREST says some errors in other words; what it says the same way is left alone."""

from typing import Any

import pytest

from dealquest.storage.engine.errors import ErrorBody
from dealquest.storage.engine.versions import VERSIONS

MISSING = ErrorBody(
    status=404,
    code="PGRST205",
    message="Could not find the table 'app.userz' in the schema cache",
    hint="Perhaps you meant the table 'app.users'",
)


@pytest.mark.parametrize(
    ("version", "body", "told"),
    [
        ("postgrest12", MISSING, ("42P01", 'relation "app.userz" does not exist', None)),
        ("postgrest12", ErrorBody(status=404, code="PGRST205", message="Something new"), ("PGRST205", "Something new", None)),
        ("postgrest13", MISSING, (MISSING.code, MISSING.message, MISSING.hint)),
        ("postgrest16", MISSING, (MISSING.code, MISSING.message, MISSING.hint)),
        ("postgrest12", ErrorBody(status=401, code="PGRST303", message="JWT expired"), ("PGRST301", "JWT expired", None)),
    ],
)
def test_an_error_is_told_in_the_words_of_its_version(version: Any, body: ErrorBody, told: tuple[str, str, str | None]) -> None:
    """Code, message and hint are those of the version that a program was written for."""
    found = VERSIONS[version].tell(body)
    assert (found.code, found.message, found.hint) == told
