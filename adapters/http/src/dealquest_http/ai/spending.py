"""What callers may spend: the worst case is held back before a call, and replaced by its cost afterwards.

The rows are `ai.usage`; the decision is one SQL function, so it holds for any number of workers. Budgets are for the
last 24 hours. A call whose cost nobody knows, because it was left or broke off, goes on counting at its worst case.
"""

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Literal, TypeAlias

import anyio
import attrs

from dealquest.errors import DealQuestError, DeniedError, LimitError
from dealquest.llm import DEAREST, find_price
from dealquest.settings import Settings
from dealquest.storage import Postgrest
from dealquest.values import Usage, Usd
from dealquest_http.callers import Caller

LOG = logging.getLogger("dealquest.http.ai")
WINDOW_S = 24 * 3600.0
SETTLE_TIMEOUT_S = 10.0

Kind: TypeAlias = Literal["chat", "embedding"]


@attrs.frozen(kw_only=True)
class _Verdict:
    granted: bool
    whose: str = "own"
    left_usd: Decimal = Decimal(0)
    retry_in_s: float | None = None


class Call:
    """One call that is under way; tell it what came of it."""

    def __init__(self) -> None:
        self.outcome: Literal["answered", "failed", "left"] = "left"
        self.model: str | None = None
        self.usage = Usage()
        self.cost_usd: Usd | None = None
        self.counted_usd: Usd | None = None

    def answered(self, *, model: str, usage: Usage, cost_usd: Usd | None) -> None:
        """It brought a whole answer."""
        self.outcome, self.model, self.usage, self.cost_usd = "answered", model, usage, cost_usd
        self.counted_usd = cost_usd
        if cost_usd is None and usage != Usage():
            # Nobody names a price, but the tokens are known: the dearest price bounds them.
            self.counted_usd = (find_price(model) or DEAREST).of(usage)

    def failed(self, *, costs_nothing: bool = False) -> None:
        """It brought none; what was refused or never left the house costs nothing."""
        self.outcome, self.counted_usd = "failed", Decimal(0) if costs_nothing else None


class Spending:
    """The budgets of all callers.

    Args:
        records: Storage with the rights of the service role.
        settings: The budgets.
    """

    def __init__(self, records: Postgrest, settings: Settings) -> None:
        self._records = records
        self._settings = settings

    @asynccontextmanager
    async def call(self, caller: Caller, *, kind: Kind, model: str, worst_usd: Usd) -> AsyncIterator[Call]:
        """Hold back the worst case, let the call be made, and settle it however it ended.

        Raises:
            DeniedError: `http.ai.anonymous` when anonymous callers have no budget.
            LimitError: `http.ai.budget` when the worst case does not fit into what is left.
        """
        name, limit = self._budget_of(caller)
        usage_id = uuid.uuid4()
        await self._reserve(usage_id, name, kind=kind, model=model, worst_usd=worst_usd, limit=limit)
        call = Call()
        try:
            yield call
        finally:
            with anyio.move_on_after(SETTLE_TIMEOUT_S, shield=True):
                await self._settle(usage_id, call)

    def _budget_of(self, caller: Caller) -> tuple[str, Usd | None]:
        match caller.role:
            case "project_admin":
                return f"admin:{caller.subject or 'key'}", None
            case "authenticated":
                return f"user:{caller.subject}", self._settings.ai_caller_budget_usd
        if not self._settings.ai_anon_budget_usd:
            raise DeniedError("Models answer signed-in callers only; sign in first.", code="http.ai.anonymous", forbidden=True)
        return "anon", self._settings.ai_anon_budget_usd  # one budget for all of them together

    async def _reserve(self, usage_id: uuid.UUID, name: str, *, kind: Kind, model: str, worst_usd: Usd, limit: Usd | None) -> None:
        verdict = (
            await self._records.rpc(
                "reserve_ai_call",
                usage_id=str(usage_id),
                for_caller=name,
                for_kind=kind,
                for_model=model,
                worst_usd=str(worst_usd),
                limit_usd=None if limit is None else str(limit),
                limit_of_all_usd=str(self._settings.ai_total_budget_usd),
                window_s=WINDOW_S,
            )
            .repeatable()
            .value(_Verdict)
        )
        if not verdict.granted:
            budget = "your day's budget" if verdict.whose == "own" else "the day's budget of all callers together"
            raise LimitError(
                f"This call may cost {worst_usd:.4f} USD and {verdict.left_usd:.4f} USD are left of {budget};"
                " lower maxTokens, or try again later.",
                code="http.ai.budget",
                retry_after_s=verdict.retry_in_s,
            )

    async def _settle(self, usage_id: uuid.UUID, call: Call) -> None:
        try:
            await self._records.rpc(
                "settle_ai_call",
                usage_id=str(usage_id),
                call_outcome=call.outcome,
                by_model=call.model,
                now_counted_usd=None if call.counted_usd is None else str(call.counted_usd),
                known_usd=None if call.cost_usd is None else str(call.cost_usd),
                tokens_in=call.usage.input_tokens,
                tokens_out=call.usage.output_tokens,
            ).repeatable()
        except DealQuestError as exc:
            # The answer is there and its caller shall have it; the row stays open and counts at its worst case.
            LOG.warning("A model call could not be settled and counts at its worst case (%s).", exc.code)
