"""What is asked and what is answered, the same for every dialect. Values only, no I/O.

Bad input is refused here, before anything is sent or reserved.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import attrs
import msgspec

from dealquest.errors import InputError, PeerGarbledError
from dealquest.values import Json, JsonObject, Usage

MAX_IMAGE_BYTES = 5 * 1024 * 1024
MAX_MEDIA_BYTES = 20 * 1024 * 1024
ABSURD_COUNT = 10**9
"""So many tokens no call has."""
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Finish: TypeAlias = Literal["stop", "length", "tool_calls", "refusal", "pause"]
Effort: TypeAlias = Literal["minimal", "low", "medium", "high"]


def _check_size(data: bytes, limit: int, what: str) -> None:
    if not data:
        raise InputError(f"The {what} is empty.", code="llm.input.media")
    if len(data) > limit:
        raise InputError(f"The {what} has {len(data)} bytes; at most {limit} are taken.", code="llm.input.too_large")


@attrs.frozen
class Text:
    """A piece of text; `cache` marks the end of a prefix worth keeping in the provider's prompt cache."""

    text: str
    cache: bool = False


@attrs.frozen(kw_only=True)
class Image:
    """A picture as bytes, at most 5 MiB."""

    data: bytes = attrs.field(repr=False)
    media_type: str = "image/jpeg"

    def __attrs_post_init__(self) -> None:
        """Refuse what no provider takes."""
        _check_size(self.data, MAX_IMAGE_BYTES, "image")
        if self.media_type not in IMAGE_TYPES:
            raise InputError(f"An image must be one of {', '.join(IMAGE_TYPES)}.", code="llm.input.media")


@attrs.frozen(kw_only=True)
class Audio:
    """A recording as bytes; `format` is what providers call it, such as `wav` or `mp3`."""

    data: bytes = attrs.field(repr=False)
    format: str = "wav"

    def __attrs_post_init__(self) -> None:
        """Refuse what is too large."""
        _check_size(self.data, MAX_MEDIA_BYTES, "recording")


@attrs.frozen(kw_only=True)
class File:
    """A document as bytes, such as a PDF."""

    data: bytes = attrs.field(repr=False)
    name: str = "document.pdf"
    media_type: str = "application/pdf"

    def __attrs_post_init__(self) -> None:
        """Refuse what is too large."""
        _check_size(self.data, MAX_MEDIA_BYTES, "file")


Part: TypeAlias = Text | Image | Audio | File


@attrs.frozen(kw_only=True)
class ToolCall:
    """What the model wants done: a tool's name and arguments that were checked to be a JSON object."""

    id: str
    name: str
    arguments: JsonObject = attrs.field(hash=False)

    def read(self, cls: type[Any]) -> Any:
        """The arguments as an object of an attrs class.

        Raises:
            PeerGarbledError: `llm.tool.arguments` when they do not fit it.
        """
        try:
            return msgspec.convert(self.arguments, cls, strict=False)
        except msgspec.ValidationError as exc:
            raise PeerGarbledError(f"The model called {self.name} with arguments that do not fit it.", code="llm.tool.arguments") from exc


@attrs.frozen(kw_only=True)
class Message:
    """One turn of a conversation.

    Attributes:
        role: Who speaks.
        parts: What is said.
        tool_calls: What the assistant wanted done in this turn.
        answers: On a tool's turn: the id of the call that it answers.
        failed: On a tool's turn: whether the tool failed.
        reasoning: The assistant's reasoning as its provider sent it; goes back unchanged with tool results.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    answers: str = ""
    failed: bool = False
    reasoning: tuple[JsonObject, ...] = attrs.field(default=(), hash=False, repr=False)

    @property
    def text(self) -> str:
        """All text parts together."""
        return "".join(part.text for part in self.parts if isinstance(part, Text))


def _parts(parts: Sequence[Part | str]) -> tuple[Part, ...]:
    return tuple(Text(part) if isinstance(part, str) else part for part in parts)


def system(*parts: Part | str) -> Message:
    """Standing orders."""
    return Message(role="system", parts=_parts(parts))


def user(*parts: Part | str) -> Message:
    """What the user says and shows."""
    return Message(role="user", parts=_parts(parts))


def assistant(*parts: Part | str) -> Message:
    """What the model said earlier."""
    return Message(role="assistant", parts=_parts(parts))


def tool_result(call: ToolCall, content: str, *, failed: bool = False) -> Message:
    """What a tool answered."""
    return Message(role="tool", parts=(Text(content),), answers=call.id, failed=failed)


@attrs.frozen(kw_only=True)
class Tool:
    """Something the model may ask for.

    Attributes:
        name: Letters, digits, `_` and `-`.
        description: When and how to use it, for the model.
        arguments: An attrs class that describes and checks the arguments, or a JSON Schema that describes them to the model
            alone: then whoever acts on the call checks it.
    """

    name: str
    description: str
    arguments: type | JsonObject = attrs.field(hash=False)

    def __attrs_post_init__(self) -> None:
        """Refuse names that no provider takes."""
        if not (0 < len(self.name) <= 64) or not self.name.replace("_", "").replace("-", "").isalnum() or not self.name.isascii():
            raise InputError("A tool's name has 1 to 64 letters, digits, _ or -.", code="llm.input.tool")


@attrs.frozen(kw_only=True)
class Schema:
    """A JSON Schema that the answer must fit."""

    name: str
    schema: JsonObject = attrs.field(hash=False)


@attrs.frozen(kw_only=True)
class WebSearch:
    """Let the provider search the web first (OpenRouter's web plugin)."""

    max_results: int = 5
    search_prompt: str = ""
    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Ask:
    """One question to a model, independent of route and dialect.

    Attributes:
        messages: The conversation; it has at least one turn with content that is not the system's.
        max_tokens: Most tokens of the answer, reasoning included.
        temperature: Left out where the provider refuses it.
        top_p: The same.
        tools: What the model may call.
        schema: What the answer must fit.
        reasoning: How hard to think; None leaves it to the model.
        web: Search the web first.
        stop: Texts that end the answer.
    """

    messages: tuple[Message, ...]
    max_tokens: int = 4096
    temperature: float | None = None
    top_p: float | None = None
    tools: tuple[Tool, ...] = ()
    schema: Schema | None = None
    reasoning: Effort | None = None
    web: WebSearch | None = None
    stop: tuple[str, ...] = ()

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if not any(
            message.text.strip() or len(message.parts) > 1 or _has_media(message) for message in self.messages if message.role != "system"
        ):
            raise InputError("The prompt is empty; there is nothing to ask.", code="llm.input.empty")
        if not 1 <= self.max_tokens <= 1_000_000:
            raise InputError("max_tokens must lie between 1 and 1,000,000.", code="llm.input.max_tokens")
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise InputError("temperature must lie between 0 and 2.", code="llm.input.temperature")
        if self.top_p is not None and not 0 <= self.top_p <= 1:
            raise InputError("top_p must lie between 0 and 1.", code="llm.input.top_p")
        names = [tool.name for tool in self.tools]
        if len(names) != len(set(names)):
            raise InputError("Two tools have the same name.", code="llm.input.tool")


def _has_media(message: Message) -> bool:
    return any(not isinstance(part, Text) for part in message.parts)


@attrs.frozen(kw_only=True)
class Citation:
    """A page that the answer rests on. Its text is the web's: never trust it."""

    url: str
    title: str = ""
    content: str = ""


@attrs.frozen(kw_only=True)
class Attempt:
    """One request that was sent, or a route that was passed over.

    Attributes:
        provider: Whose server.
        model: Which model was asked for.
        outcome: `ok`, or the code of the error that ended it.
        elapsed_s: Seconds it took.
    """

    provider: str
    model: str
    outcome: str
    elapsed_s: float = 0.0


@attrs.frozen(kw_only=True)
class Completion:
    """A model's whole answer.

    Attributes:
        text: What it said; empty when it only called tools.
        finish: Why it ended. `stop` and `tool_calls` are whole answers.
        usage: Tokens, normalised.
        cost_usd: What it cost; None when nobody knows.
        cost_source: `provider` when the provider said so, `prices` from our dated table, `unknown` else.
        model: Who answered, as the server says.
        provider: Whose server was asked.
        upstream: Who stood behind it, where the server says so.
        request_id: The server's id of this answer.
        reasoning_text: What it thought, where it shows that.
        reasoning: The same as the provider sent it, to be sent back with tool results.
        attempts: Every attempt of the call, the successful one last.
    """

    text: str
    finish: Finish
    usage: Usage = attrs.Factory(Usage)
    cost_usd: Decimal | None = None
    cost_source: Literal["provider", "prices", "unknown"] = "unknown"
    model: str = ""
    provider: str = ""
    upstream: str = ""
    request_id: str = ""
    reasoning_text: str = ""
    reasoning: tuple[JsonObject, ...] = attrs.field(default=(), hash=False, repr=False)
    tool_calls: tuple[ToolCall, ...] = ()
    citations: tuple[Citation, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def message(self) -> Message:
        """The answer as a turn of the conversation, for the next question."""
        parts = (Text(self.text),) if self.text else ()
        return Message(role="assistant", parts=parts, tool_calls=self.tool_calls, reasoning=self.reasoning)


@attrs.frozen
class TextDelta:
    """A piece of the answer's text."""

    text: str


@attrs.frozen
class ReasoningDelta:
    """A piece of the model's reasoning."""

    text: str


@attrs.frozen
class ToolCallReady:
    """A tool call that is complete and checked."""

    call: ToolCall


@attrs.frozen(kw_only=True)
class UsageReport:
    """Tokens and cost, as far as the provider has told."""

    usage: Usage
    cost_usd: Decimal | None = None


@attrs.frozen
class Done:
    """The answer is whole; always the last event."""

    completion: Completion


Event: TypeAlias = TextDelta | ReasoningDelta | ToolCallReady | UsageReport | Done
Prompt: TypeAlias = str | Message | Sequence[Message | Mapping[str, str]]


def read_prompt(prompt: Prompt, *, orders: str = "") -> tuple[Message, ...]:
    """Turn what a caller passes into messages.

    Args:
        prompt: A text, a message, messages, or plain `{"role": ..., "content": ...}` mappings.
        orders: A system prompt to put in front.

    Raises:
        InputError: `llm.input.messages` when a mapping is no message.

    >>> [message.role for message in read_prompt("Hello", orders="Be brief.")]
    ['system', 'user']
    """
    turns: list[Message] = [system(orders)] if orders else []
    if isinstance(prompt, str):
        turns.append(user(prompt))
    elif isinstance(prompt, Message):
        turns.append(prompt)
    else:
        turns.extend(turn if isinstance(turn, Message) else _read_mapping(turn) for turn in prompt)
    return tuple(turns)


def _read_mapping(turn: Mapping[str, str]) -> Message:
    role, content = turn.get("role"), turn.get("content")
    if role not in {"system", "user", "assistant"} or not isinstance(content, str):
        raise InputError(
            'A message is {"role": "system" | "user" | "assistant", "content": text}, or a Message.', code="llm.input.messages"
        )
    return Message(role=role, parts=(Text(content),))  # type: ignore[arg-type]  # checked in the line above


def as_text(value: Json) -> str:
    """A text, or nothing when the peer sent something else."""
    return value if isinstance(value, str) else ""


def as_object(value: Json) -> JsonObject:
    """A JSON object, or an empty one when the peer sent something else."""
    return value if isinstance(value, dict) else {}


def as_list(value: Json) -> Sequence[Json]:
    """A JSON array, or an empty one when the peer sent something else."""
    return value if isinstance(value, list) else []


def as_count(value: Json) -> int:
    """A number of tokens: never negative, never absurd, whatever the peer sent."""
    return min(value, ABSURD_COUNT) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def as_usage(usage: Usage) -> Usage:
    """The tokens as the peer counted them; none at all when one of the counts is absurd, since what is not believed is not billed."""
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens)
    return usage if max(counts) < ABSURD_COUNT else Usage()
