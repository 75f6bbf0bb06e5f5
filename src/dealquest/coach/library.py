"""The scenarios a user sees: the pack's own, and those a model wrote, read from storage now and then.

Writes nothing; `dialogue.writing` has new ones written.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs

from dealquest.errors import PeerError, UnknownOutcomeError

from .pack import Pack, Scenario
from .scenario_prompt import read_generated

LOOK_EVERY_S = 30.0

_GENERATED_ID = re.compile(r"gen_[a-z0-9]{8}")


class Functions(Protocol):
    """Read-only functions of storage."""

    def rpc(self, name: str, /, **arguments: Any) -> Awaitable[Any]:
        """Call one."""
        ...


@attrs.define
class _Shelf:
    pack: Pack
    version: int = 0
    looked_at: float = float("-inf")
    ids: frozenset[str] = frozenset()


class Library:
    """Packs by language, with what a model wrote.

    Args:
        packs: The pack for a language tag.
        functions: Storage with the rights of the service role; without it there are the packs alone.
        monotonic: Seconds that only grow.
    """

    def __init__(
        self, packs: Callable[[str], Pack], functions: Functions | None = None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._packs = packs
        self._functions = functions
        self._monotonic = monotonic
        self._shelves: dict[str, _Shelf] = {}

    async def pack(self, language: str, *, named: Iterable[str] = ()) -> Pack:
        """The scenarios for a language tag.

        Args:
            language: The user's.
            named: Texts that may name a generated scenario; one that is not known here yet is looked for at once.
        """
        own = self._packs(language)
        if self._functions is None or not own.practice:
            return own
        shelf = self._shelves.setdefault(own.language, _Shelf(own))
        unknown = {found for text in named for found in _GENERATED_ID.findall(text)} - shelf.ids
        if unknown or self._monotonic() - shelf.looked_at >= LOOK_EVERY_S:
            await self._look(shelf, own, self._functions)
        return shelf.pack

    async def _look(self, shelf: _Shelf, own: Pack, functions: Functions) -> None:
        shelf.looked_at = self._monotonic()
        try:
            found: Mapping[str, Any] | None = await functions.rpc("generated_pack", for_language=own.language, known_version=shelf.version)
        except (PeerError, UnknownOutcomeError):
            return  # what is known serves until the next look
        if found is None or found["version"] <= shelf.version:
            return
        written: tuple[Scenario, ...] = read_generated(found["scenarios"], own.practice[0].lexicon)
        shelf.pack = attrs.evolve(own, practice=(*own.practice, *written))
        shelf.ids = frozenset(scenario.id for scenario in written)
        shelf.version = found["version"]
