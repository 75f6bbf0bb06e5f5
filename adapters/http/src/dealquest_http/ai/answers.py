"""What a model said, in the frames of the InsForge clients. Pure.

`usage` carries both spellings: their own, and OpenAI's, which the JavaScript client passes through.
"""

from collections.abc import Sequence
from typing import Any

from dealquest.llm import Citation, Completion, Embeddings
from dealquest.values import Usage


def show_completion(completion: Completion) -> dict[str, Any]:
    """The JSON answer."""
    shown: dict[str, Any] = {"text": completion.text, "metadata": {"model": completion.model, "usage": show_usage(completion.usage)}}
    if completion.citations:
        shown["annotations"] = show_citations(completion.citations)
    return shown


def show_usage(usage: Usage) -> dict[str, int]:
    """Tokens, in both spellings."""
    asked, said, both = usage.input_tokens, usage.output_tokens, usage.total_tokens
    return {
        "promptTokens": asked,
        "completionTokens": said,
        "totalTokens": both,
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": both,
    }


def show_citations(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """The pages that an answer rests on."""
    shown = []
    for citation in citations:
        page = {"url": citation.url, "title": citation.title, "content": citation.content}
        shown.append({"type": "url_citation", "urlCitation": {name: value for name, value in page.items() if value}})
    return shown


def show_embeddings(embeddings: Embeddings) -> dict[str, Any]:
    """The JSON answer, in the order of the input."""
    vectors = [{"object": "embedding", "embedding": vector, "index": index} for index, vector in enumerate(embeddings.vectors)]
    usage = {"promptTokens": embeddings.usage.input_tokens, "totalTokens": embeddings.usage.total_tokens}
    usage |= {"prompt_tokens": embeddings.usage.input_tokens, "total_tokens": embeddings.usage.total_tokens}
    return {"object": "list", "data": vectors, "metadata": {"model": embeddings.model, "usage": usage}}
