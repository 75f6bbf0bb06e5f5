"""The attribute names of model calls, in one versioned table; everything under `gen_ai` is still in development.

Names of older versions and of other tracers are read (`to_current`) and never written.
Source: https://github.com/open-telemetry/semantic-conventions-genai v0.1.0, read 2026-11-22.
"""

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "0.1.0"
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/gen-ai/{VERSION}"

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK_S: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
AGENT: Final = "gen_ai.agent.name"
TOOL: Final = "gen_ai.tool.name"
CONVERSATION: Final = "gen_ai.conversation.id"
ERROR_TYPE: Final = "error.type"

# No convention yet: the names of the open proposal genai#443.
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"

# Ours, where the convention is silent.
ATTEMPTS: Final = "dealquest.attempts"
FALLBACKS: Final = "dealquest.fallbacks"
PRICES: Final = "dealquest.price_table"
AUDIO_S: Final = "dealquest.audio_s"
LINKED_TRACE: Final = "dealquest.linked_trace_id"
ITEMS: Final = "dealquest.stream.items"
TRUNCATED: Final = "dealquest.truncated"

OPERATIONS_BY_KIND: Final[Mapping[str, str]] = {
    "agent": "invoke_agent",
    "llm": "chat",
    "pipeline": "invoke_workflow",
    "retrieval": "retrieval",
    "tool": "execute_tool",
}

ALIASES: Final[Mapping[str, str]] = {
    "gen_ai.completion_tokens": OUTPUT_TOKENS,
    "gen_ai.prompt_tokens": INPUT_TOKENS,
    "gen_ai.system": PROVIDER,
    "gen_ai.usage.cache_creation.input_tokens": CACHE_WRITE_TOKENS,
    "gen_ai.usage.completion_tokens": OUTPUT_TOKENS,
    "gen_ai.usage.prompt_tokens": INPUT_TOKENS,
    "gen_ai.workflow.name": AGENT,
    "llm.cost.total": COST_AMOUNT,
    "llm.model_name": REQUEST_MODEL,
    "llm.provider": PROVIDER,
    "llm.token_count.completion": OUTPUT_TOKENS,
    "llm.token_count.prompt": INPUT_TOKENS,
    "operation.cost": COST_AMOUNT,
    "session.id": CONVERSATION,
    "tool.name": TOOL,
}


def to_current(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Rename older and foreign names; a name of today wins over its alias.

    >>> to_current({"gen_ai.system": "openai", "n": 1})
    {'gen_ai.provider.name': 'openai', 'n': 1}
    """
    renamed = {ALIASES[name]: value for name, value in attributes.items() if name in ALIASES}
    return {**renamed, **{name: value for name, value in attributes.items() if name not in ALIASES}}
