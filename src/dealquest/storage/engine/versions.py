"""What older versions of PostgREST answered otherwise, for programs that are tested against them.

The engine thinks in version 16; a version looks at what goes in and out.
Source: https://docs.postgrest.org/en/v12/references/errors.html, /v13/ and the changelog of 13.0.0, read 2026-11-22.
"""

import re
from collections.abc import Mapping
from typing import Literal

import attrs

from dealquest.storage.postgrest.errors import ErrorBody
from dealquest.wire import HttpResponse

VersionName = Literal["postgrest12", "postgrest13", "postgrest16"]

_TABLE = re.compile(r"Could not find the table '(?P<name>.+)' in the schema cache\Z")
_SCHEMAS = "Only the following schemas are exposed: "


@attrs.frozen(kw_only=True)
class Version:
    """One version's ways.

    Attributes:
        names_missing_tables: Whether an unknown table is an answer of its own, not PostgreSQL's.
        tells_claims_apart: Whether claims that do not hold have a code of their own.
        hints_at_schemas: Whether an unknown schema is answered with its name, and the known ones as a hint.
        not_null: Whether `is.not_null` is known.
        spreads_lists: Whether a spread embed may have many rows.
        limits_changes: Whether `limit` and `offset` count for updates and deletes.
        hidden: Headers that were not sent.
    """

    names_missing_tables: bool = True
    tells_claims_apart: bool = True
    hints_at_schemas: bool = True
    not_null: bool = True
    spreads_lists: bool = True
    limits_changes: bool = False
    hidden: frozenset[str] = frozenset()

    def tell(self, body: ErrorBody) -> ErrorBody:
        """An error in this version's words."""
        table = _TABLE.match(body.message) if body.code == "PGRST205" and not self.names_missing_tables else None
        if table is not None:
            return attrs.evolve(body, code="42P01", message=f'relation "{table["name"]}" does not exist', details=None, hint=None)
        if body.code == "PGRST303" and not self.tells_claims_apart:
            return attrs.evolve(body, code="PGRST301")
        if body.code == "PGRST106" and not self.hints_at_schemas:
            known = str(body.hint or "").removeprefix(_SCHEMAS)
            return attrs.evolve(body, message=f"The schema must be one of the following: {known}", hint=None)
        return body

    def show(self, response: HttpResponse) -> HttpResponse:
        """An answer with this version's headers."""
        if not self.hidden:
            return response
        return attrs.evolve(response, headers=tuple([pair for pair in response.headers if pair[0] not in self.hidden]))


NEWEST = Version()

VERSIONS: Mapping[VersionName, Version] = {
    "postgrest12": Version(
        names_missing_tables=False,
        tells_claims_apart=False,
        hints_at_schemas=False,
        not_null=False,
        spreads_lists=False,
        limits_changes=True,
        hidden=frozenset({"proxy-status", "content-length", "vary", "warning"}),
    ),
    "postgrest13": Version(hidden=frozenset({"vary", "warning"})),
    "postgrest16": NEWEST,
}
