"""Request bodies: JSON with a type, or a refusal that names the field."""

from typing import TypeVar

import msgspec
from starlette.requests import Request

from dealquest.errors import InputError

T = TypeVar("T")


async def read_json(request: Request, kind: type[T]) -> T:
    """The body as a type; the content type is not looked at, as some clients send none.

    Args:
        request: The request.
        kind: A `msgspec.Struct`, usually with `rename="camel"`; unknown fields are ignored.

    Raises:
        InputError: `http.body.json` for what is no JSON, `http.body.field` for a field that is missing or wrong.
        LimitError: `http.body.too_large`, `http.body.slow`.
    """
    return parse_json(await request.body(), kind)


def parse_json(body: bytes, kind: type[T]) -> T:
    """JSON text as a type; see `read_json`."""
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.ValidationError as exc:
        # msgspec writes "problem - at `$.path`"; the clients read "path: problem".
        problem, _, place = str(exc).partition(" - at `")
        path = place.rstrip("`").removeprefix("$").removeprefix(".")
        raise InputError(f"{path}: {problem}" if path else problem, code="http.body.field") from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("The body is not valid JSON.", code="http.body.json") from exc
