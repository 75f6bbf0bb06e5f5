"""What a model said, in the frames of the InsForge clients. Pure.

`usage` carries both spellings: their own, and OpenAI's, which the JavaScript client passes through.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct, field

from dealquest.llm import Citation, Completion, Embeddings, ListedModel, ToolCall
from dealquest.values import Usage


class ShownUsage(Struct, rename="camel"):
    """Tokens, in both spellings."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    openai_prompt_tokens: int = field(name="prompt_tokens")
    openai_completion_tokens: int = field(name="completion_tokens")
    openai_total_tokens: int = field(name="total_tokens")


class Metadata(Struct):
    """Who answered, and with how many tokens."""

    model: str
    usage: ShownUsage


class UrlCitation(Struct, omit_defaults=True):
    """A page."""

    url: str
    title: str = ""
    content: str = ""


class Annotation(Struct, rename="camel"):
    """A page that the answer rests on."""

    url_citation: UrlCitation
    type: str = "url_citation"


class ShownFunction(Struct):
    """A function's name and its arguments as JSON in a text."""

    name: str
    arguments: str


class ShownCall(Struct):
    """What the model wants done; the application does it and answers in a `tool` turn."""

    id: str
    function: ShownFunction
    type: str = "function"


class ChatAnswer(Struct, omit_defaults=True):
    """A whole answer."""

    text: str
    metadata: Metadata
    annotations: list[Annotation] = []
    tool_calls: list[ShownCall] = []


class Vector(Struct):
    """One vector: numbers, or base64 of little-endian 32-bit floats."""

    embedding: list[float] | str
    index: int
    object: str = "embedding"


class EmbeddingsAnswer(Struct):
    """Vectors, in the order of the input."""

    data: list[Vector]
    metadata: Metadata
    object: str = "list"


class ShownModel(Struct, rename="camel"):
    """A model; prices in USD for a million tokens."""

    id: str
    model_id: str
    provider: str
    input_modality: list[str]
    output_modality: list[str]
    input_price: float | None
    output_price: float | None


class UsageRow(Struct, rename="camel"):
    """One call."""

    id: str
    caller: str
    kind: str
    model_id: str
    outcome: str
    input_tokens: int
    output_tokens: int
    cost_usd: float | None
    created_at: datetime


class UsagePage(Struct):
    """Calls, newest first."""

    records: list[UsageRow]
    total: int


class UsageSummary(Struct, rename="camel"):
    """All calls of a period; there are no images."""

    total_input_tokens: int
    total_output_tokens: int
    total_tokens: int
    total_requests: int
    total_cost_usd: float
    total_image_count: int = 0


def show_completion(completion: Completion) -> ChatAnswer:
    """The JSON answer."""
    return ChatAnswer(
        completion.text,
        Metadata(completion.model, show_usage(completion.usage)),
        show_citations(completion.citations),
        show_calls(completion.tool_calls),
    )


def show_usage(usage: Usage) -> ShownUsage:
    """Tokens, in both spellings."""
    told = (usage.input_tokens, usage.output_tokens, usage.total_tokens)
    return ShownUsage(*told, *told)


def show_calls(calls: Sequence[ToolCall]) -> list[ShownCall]:
    """What the model wants done."""
    return [ShownCall(call.id, ShownFunction(call.name, msgspec.json.encode(call.arguments).decode())) for call in calls]


def show_citations(citations: Sequence[Citation]) -> list[Annotation]:
    """The pages that an answer rests on."""
    return [Annotation(UrlCitation(citation.url, citation.title, citation.content)) for citation in citations]


def show_embeddings(embeddings: Embeddings) -> EmbeddingsAnswer:
    """The JSON answer, in the order of the input."""
    vectors = [Vector(list(vector), index) for index, vector in enumerate(embeddings.vectors)]
    return EmbeddingsAnswer(vectors, Metadata(embeddings.model, show_usage(embeddings.usage)))


def show_model(model: ListedModel) -> ShownModel:
    """One line of the list of models."""
    provider = model.id.partition("/")[0].removeprefix("~") if "/" in model.id else "own"
    prices = [None if price is None else float(price) for price in (model.input_usd, model.output_usd)]
    return ShownModel(model.id, model.id, provider, list(model.inputs), list(model.outputs), *prices)
