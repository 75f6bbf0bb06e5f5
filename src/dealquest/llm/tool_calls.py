"""Check what a model wants done before anybody acts on it. Pure."""

from collections.abc import Sequence

import msgspec

from dealquest.errors import PeerGarbledError
from dealquest.values import Json

from .failures import Failure, judge_garbled
from .messages import Tool, ToolCall


def read_tool_call(call_id: str, name: str, arguments: Json, tools: Sequence[Tool]) -> ToolCall | Failure:
    """Read one call.

    Args:
        call_id: The provider's id of the call.
        name: The tool that is called.
        arguments: A JSON text, an object, or nothing (null and empty text are seen in the wild and mean no arguments).
        tools: What was offered.
    """
    tool = next((offered for offered in tools if offered.name == name), None)
    if tool is None:
        return judge_garbled("The model called a tool that was not offered.", code="llm.tool.unknown")
    parsed: Json = arguments
    if isinstance(arguments, str) and arguments.strip():
        try:
            parsed = msgspec.json.decode(arguments)
        except msgspec.DecodeError:
            return judge_garbled(f"The model called {name} with arguments that are not JSON.", code="llm.tool.arguments")
    if parsed is None or parsed == "":
        parsed = {}
    if not isinstance(parsed, dict):
        return judge_garbled(f"The model called {name} with arguments that are no object.", code="llm.tool.arguments")
    call = ToolCall(id=call_id or f"call_{name}", name=name, arguments=parsed)
    if not isinstance(tool.arguments, type):
        return call
    try:
        call.read(tool.arguments)
    except PeerGarbledError as exc:
        return judge_garbled(exc.message, code="llm.tool.arguments")
    return call
