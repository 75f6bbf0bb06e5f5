"""The OpenAPI document of all routes, made from the routes themselves and the classes that check their bodies.

The records and functions of the database are one generic path each: which tables there are is a matter of the
caller's rights, and `GET /api/database/records/` tells it.
Source: OpenAPI 3.1.1; JSON Schema 2020-12, read 2026-11-22.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dealquest import __version__

from .answers import answer_json
from .described import Description, description_of

PATH = "/api/openapi.json"

_PARAMETER = re.compile(r"\{([a-z_]+)(?::[a-z]+)?\}")
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "nobody": [],
    "anon": [{"token": []}, {"apiKey": []}],
    "user": [{"token": []}, {"apiKey": []}],
    "admin": [{"token": []}, {"apiKey": []}],
}
_GUARDS = {
    "nobody": "",
    "anon": "Any credential will do, the public key too.",
    "user": "For signed-in people.",
    "admin": "For the project's admin.",
}


class Refusal(msgspec.Struct, rename="camel"):
    """Why a request was refused: `error` is a code of a closed list, `message` is for people."""

    error: str
    message: str = ""
    status_code: int = 0
    next_actions: str = ""


def openapi_route(routes: Sequence[BaseRoute]) -> Route:
    """The route of the document over these routes."""
    content = make_document(routes)

    async def document(_: Request) -> Response:
        """This document."""
        return answer_json(content)

    return Route(PATH, document, methods=["GET"])


def make_document(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """The document.

    Args:
        routes: Routes whose handlers may carry a `Description`.
    """
    found = [route for route in routes if isinstance(route, Route) and route.include_in_schema]
    described = [description_of(route.endpoint) for route in found]
    types = [Refusal, *(kind for one in described for kind in (one.takes, one.gives, one.query) if kind is not None)]
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    by_type = {id(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, Any] = {}
    for route, description in zip(found, described, strict=True):
        place = paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})
        for method in sorted((route.methods or set()) - {"HEAD"}):
            place[method.lower()] = _operation(route, method, description, by_type, components)
    return {
        "openapi": "3.1.1",
        "info": {"title": "dealquest", "version": __version__, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A session token, the anon key, or an API key."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
    }


def _operation(route: Route, method: str, one: Description, schemas: dict[int, Any], components: dict[str, Any]) -> dict[str, Any]:
    words = (inspect.getdoc(route.endpoint) or "").split("\n\n")[0].replace("\n", " ")
    path = _PARAMETER.sub(r"by_\1", route.path)
    name = re.sub(r"[^A-Za-z0-9]+", "_", f"{method.lower()}{path}").strip("_")
    answer: dict[str, Any] = {"description": "Success."}
    content = {one.media_type: {"schema": schemas[id(one.gives)] if one.gives is not None else {}}}
    if one.streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    refused: dict[str, Any] = {"*/*": {}} if one.passes_on else {"application/json": {"schema": schemas[id(Refusal)]}}
    refusal = {"description": "Refused.", "content": refused}
    if one.passes_on:
        content = {"*/*": {}}
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": words,
        "description": _GUARDS[one.guard],
        "responses": {str(status): answer | {"content": content} for status in (one.status, *one.also)} | {"4XX": refusal, "503": refusal},
    }
    operation = {key: value for key, value in operation.items() if value}
    if one.guard != "nobody":
        operation["security"] = _SECURITY[one.guard]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(route.path)
    ]
    if one.query is not None:
        parameters += _query(components[one.query.__name__])
    if parameters:
        operation["parameters"] = parameters
    if one.takes is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schemas[id(one.takes)]}}}
    return operation


def _query(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [{"name": name, "in": "query", "required": name in required, "schema": kind} for name, kind in schema["properties"].items()]
