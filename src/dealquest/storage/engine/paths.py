"""What a path answers by itself: the methods it allows, and the media type of the root."""

from collections.abc import Sequence

from dealquest.storage.postgrest.ast import Call, Describe, Media, Read
from dealquest.wire import HttpResponse

from .call_sql import find_routine
from .catalog import Catalog, Name, Table
from .compile import find_table
from .errors import refuse
from .negotiate import pick_schema
from .response import VARY

_ROOT_MEDIA = frozenset({"application/openapi+json", "*/*", "application/json"})
OPENAPI_TYPE = "application/openapi+json; charset=utf-8"
"""The content type of the root document, also for those who accept any JSON."""


def answer_options(request: Describe | Call | Read, catalog: Catalog, schemas: Sequence[str]) -> HttpResponse:
    """The methods that a path allows.

    Args:
        request: The path as a request to read.
        catalog: The snapshot.
        schemas: The exposed schemas.

    Raises:
        NotFoundError: PGRST205 for a table that does not exist, PGRST202 for a function.
    """
    schema = pick_schema(schemas, request.profile)
    if isinstance(request, Describe):
        allow = "OPTIONS,GET,HEAD"
    elif isinstance(request, Call):
        name = Name(schema, request.function)
        routines = catalog.functions.get(name) or (find_routine(catalog, name, [item for item, _ in request.arguments], media=None),)
        allow = "OPTIONS,GET,HEAD,POST" if any(routine.read_only for routine in routines) else "OPTIONS,POST"
    else:
        allow = _allowed_methods(find_table(catalog, Name(schema, request.relation)))
    return HttpResponse(status=200, headers=(("allow", allow), ("content-length", "0"), VARY))


def _allowed_methods(table: Table) -> str:
    methods = ["OPTIONS", "GET", "HEAD"]
    methods += ["POST"] if table.insertable else []
    methods += ["PUT"] if table.insertable and table.updatable and table.key else []
    methods += ["PATCH"] if table.updatable else []
    methods += ["DELETE"] if table.deletable else []
    return ",".join(methods)


def check_root_media(accept: Sequence[Media]) -> None:
    """See that the root document is acceptable.

    Raises:
        InputError: PGRST107 when it is not.
    """
    if not any(media.name in _ROOT_MEDIA for media in accept):
        raise refuse("PGRST107", f"None of these media types are available: {', '.join(media.name for media in accept)}")
