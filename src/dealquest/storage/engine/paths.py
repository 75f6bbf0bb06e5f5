"""What a path answers by itself: the methods it allows, and the media types of the root."""

from collections.abc import Sequence

from dealquest.storage.postgrest.ast import Media
from dealquest.wire import HttpResponse

from .catalog import Catalog, Name, Table
from .compile import find_table
from .errors import refuse
from .incoming import Incoming
from .negotiate import pick_schema
from .parse import split_path
from .response import VARY

_ROOT_MEDIA = {
    "application/openapi+json": "application/openapi+json",
    "*/*": "application/openapi+json",
    "application/json": "application/json",
}


def answer_options(incoming: Incoming, catalog: Catalog, schemas: Sequence[str]) -> HttpResponse:
    """The methods that a path allows.

    Raises:
        NotFoundError: PGRST125 for a path, PGRST205 for a table that does not exist.
    """
    segments = split_path(incoming.path)
    schema = pick_schema(schemas, incoming.headers.get("accept-profile"))
    if not segments:
        allow = "OPTIONS,GET,HEAD"
    elif len(segments) == 2 and segments[0] == "rpc":
        overloads = catalog.functions.get(Name(schema, segments[1]), ())
        allow = "OPTIONS,GET,HEAD,POST" if any(routine.read_only for routine in overloads) else "OPTIONS,POST"
    elif len(segments) == 1:
        allow = _allowed_methods(find_table(catalog, Name(schema, segments[0])))
    else:
        raise refuse("PGRST125", "Invalid path specified in request URL")
    return HttpResponse(status=200, headers=(("allow", allow), ("content-length", "0"), VARY))


def _allowed_methods(table: Table) -> str:
    methods = ["OPTIONS", "GET", "HEAD"]
    methods += ["POST"] if table.insertable else []
    methods += ["PUT"] if table.insertable and table.updatable and table.key else []
    methods += ["PATCH"] if table.updatable else []
    methods += ["DELETE"] if table.deletable else []
    return ",".join(methods)


def pick_root_type(accept: Sequence[Media]) -> str:
    """The content type of the root document.

    Raises:
        InputError: PGRST107 when none of the accepted ones can be made.
    """
    for media in accept:
        if media.name in _ROOT_MEDIA:
            return f"{_ROOT_MEDIA[media.name]}; charset=utf-8"
    names = ", ".join(media.name for media in accept)
    raise refuse("PGRST107", f"None of these media types are available: {names}")
