"""What callers ask of a model, as the InsForge clients write it, and the house's messages made of it. Pure.

Nothing is fetched: pictures, sounds and files come inside the request. What cannot be done is refused, never dropped.
"""

import base64
import binascii
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from dealquest.errors import InputError
from dealquest.llm import Audio, File, Image, Message, Text, Tool, ToolCall, WebSearch
from dealquest.values import JsonObject

MAX_MESSAGES = 1_000

ModelName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class LinkedImage(Struct):
    """A picture as a `data:` address."""

    url: str


class NamedFile(Struct):
    """A document as a `data:` address."""

    file_data: str
    filename: str = "document.pdf"


class Sound(Struct):
    """A recording in base64."""

    data: str
    format: str = "wav"


class TextPart(Struct, tag="text"):
    """Words."""

    text: str


class ImagePart(Struct, tag="image_url"):
    """A picture."""

    image_url: LinkedImage


class FilePart(Struct, tag="file"):
    """A document."""

    file: NamedFile


class AudioPart(Struct, tag="input_audio"):
    """A recording."""

    input_audio: Sound


Part: TypeAlias = TextPart | ImagePart | FilePart | AudioPart


class CalledFunction(Struct):
    """What is called; the arguments are JSON in a text."""

    name: str
    arguments: str = "{}"


class Called(Struct):
    """A call that the model asked for in an earlier turn."""

    id: str
    function: CalledFunction
    type: Literal["function"] = "function"


class Turn(Struct):
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    images: list[LinkedImage] | None = None
    tool_calls: list[Called] | None = None
    tool_call_id: str | None = None


class OfferedFunction(Struct):
    """A function and the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None


class Offered(Struct):
    """A tool that the model may ask for; the application does the work."""

    function: OfferedFunction
    type: Literal["function"] = "function"


class Search(Struct, rename="camel"):
    """Search the web first."""

    enabled: bool = True
    engine: Literal["native", "exa"] | None = None
    max_results: Annotated[int, Meta(ge=1, le=10)] = 5
    search_prompt: Annotated[str, Meta(max_length=4_000)] = ""


class ChatRequest(Struct, rename="camel"):
    """The body of `POST /api/ai/chat/completion`."""

    messages: Annotated[list[Turn], Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: ModelName | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stream: bool = False
    web_search: Search | None = None
    thinking: bool = False
    file_parser: dict[str, Any] | UnsetType = UNSET
    tools: Annotated[list[Offered], Meta(max_length=128)] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None


class EmbeddingsRequest(Struct):
    """The body of `POST /api/ai/embeddings`; its names are OpenAI's."""

    model: ModelName
    input: str | Annotated[list[str], Meta(min_length=1, max_length=2_048)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, Meta(ge=1, le=100_000)] | None = None


def read_messages(asked: ChatRequest) -> tuple[Message, ...]:
    """The conversation.

    Raises:
        InputError: `http.ai.unsupported` for file parsers, `http.ai.media` for what is no inline media, `llm.input.*`.
    """
    if asked.file_parser and asked.file_parser.get("enabled"):
        raise InputError("fileParser: send a model that reads files itself; this server has no parser.", code="http.ai.unsupported")
    return tuple(_read_turn(index, turn) for index, turn in enumerate(asked.messages))


def read_tools(asked: ChatRequest) -> tuple[Tool, ...]:
    """What the model may ask for.

    Raises:
        InputError: `http.ai.unsupported` for a forced tool, `llm.input.tool`.
    """
    if asked.tool_choice not in (None, "auto", "none"):  # it may be an object, which no set holds
        raise InputError("toolChoice: auto or none; this server does not force a tool.", code="http.ai.unsupported")
    if asked.parallel_tool_calls is False:
        raise InputError("parallelToolCalls: this server cannot forbid them; leave it out.", code="http.ai.unsupported")
    if asked.tool_choice == "none":
        return ()
    offered = [tool.function for tool in asked.tools or ()]
    empty: JsonObject = {"type": "object", "properties": {}}
    return tuple(Tool(name=one.name, description=one.description, arguments=one.parameters or empty) for one in offered)


def read_search(asked: ChatRequest) -> WebSearch | None:
    """How to search the web first, if at all."""
    search = asked.web_search
    if search is None or not search.enabled:
        return None
    return WebSearch(max_results=search.max_results, search_prompt=search.search_prompt)


def _read_turn(index: int, turn: Turn) -> Message:
    place = f"messages[{index}]"
    parts = [TextPart(turn.content)] if isinstance(turn.content, str) else turn.content or []
    read = [_read_part(place, part) for part in parts]
    read += [_read_image(f"{place}.images", image.url) for image in turn.images or ()]
    if (turn.role == "tool") != (turn.tool_call_id is not None) or (turn.tool_calls and turn.role != "assistant"):
        raise InputError(f"{place}: a tool's turn, and no other, has a tool_call_id; only an assistant calls.", code="http.ai.tool_turn")
    return Message(
        role=turn.role,
        parts=tuple(part for part in read if part != Text("")),
        tool_calls=tuple(_read_call(place, call) for call in turn.tool_calls or ()),
        answers=turn.tool_call_id or "",
    )


def _read_call(place: str, call: Called) -> ToolCall:
    try:
        arguments = msgspec.json.decode(call.function.arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise InputError(f"{place}.tool_calls: the arguments are no JSON object.", code="http.ai.tool_turn") from exc
    return ToolCall(id=call.id, name=call.function.name, arguments=arguments)


def _read_part(place: str, part: Part) -> Text | Image | File | Audio:
    match part:
        case TextPart(text):
            return Text(text)
        case ImagePart(image):
            return _read_image(place, image.url)
        case FilePart(file):
            media_type, data = _open_data_url(place, file.file_data)
            return File(data=data, name=file.filename, media_type=media_type)
        case AudioPart(sound):
            return Audio(data=_decode(place, sound.data), format=sound.format)


def _read_image(place: str, url: str) -> Image:
    media_type, data = _open_data_url(place, url)
    return Image(data=data, media_type=media_type)


def _open_data_url(place: str, url: str) -> tuple[str, bytes]:
    head, comma, content = url.partition(",")
    media_type, semicolon, encoding = head.removeprefix("data:").partition(";")
    if not (head.startswith("data:") and comma and semicolon and encoding == "base64"):
        raise InputError(
            f"{place}: media comes inside the request, as data:<type>;base64,<bytes>; nothing is fetched.", code="http.ai.media"
        )
    return media_type, _decode(place, content)


def _decode(place: str, content: str) -> bytes:
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise InputError(f"{place}: this is not base64.", code="http.ai.media") from exc
