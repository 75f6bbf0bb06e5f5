"""What differs between servers that speak PostgREST, as data.

Source: https://docs.postgrest.org/en/v12/, /v13/, /latest/ and InsForge's and Supabase's documentation, read 2026-11-22.
"""

from typing import Literal, TypeAlias

import attrs

DialectName: TypeAlias = Literal["postgrest12", "postgrest13", "postgrest16", "supabase", "insforge"]


@attrs.frozen(kw_only=True)
class Dialect:
    """One kind of server.

    Attributes:
        name: Its name.
        version: PostgREST's major version.
        tables: Path before a table's name.
        functions: Path before a function's name.
        folds_repeated_keys: Its proxy breaks repeated query keys, so they become one `and=(...)`.
        reads_doubles: Its proxy reads JSON numbers as doubles: what they cannot hold travels as text.
        has_put: Whether PUT reaches PostgREST.
        max_url_bytes: Longest path and query that gateways before it take.
    """

    name: DialectName
    version: int
    tables: str = "/"
    functions: str = "/rpc/"
    folds_repeated_keys: bool = False
    reads_doubles: bool = False
    has_put: bool = True
    max_url_bytes: int = 8000


DIALECTS: dict[DialectName, Dialect] = {
    "postgrest12": Dialect(name="postgrest12", version=12),
    "postgrest13": Dialect(name="postgrest13", version=13),
    "postgrest16": Dialect(name="postgrest16", version=16),
    "supabase": Dialect(name="supabase", version=14, tables="/rest/v1/", functions="/rest/v1/rpc/"),
    "insforge": Dialect(
        name="insforge",
        version=12,
        tables="/api/database/records/",
        functions="/api/database/rpc/",
        folds_repeated_keys=True,
        reads_doubles=True,
        has_put=False,
    ),
}
