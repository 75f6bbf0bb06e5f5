"""What is evaluated: cases and suites. Values only; reading files is `loading`."""

import hashlib
import html
import operator
import random
from collections.abc import Callable, Collection, Iterator
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

import attrs
import msgspec

from dealquest.coach import Scenario
from dealquest.errors import InputError, NotFoundError
from dealquest.values import Json, JsonObject

Condition: TypeAlias = str | int | float | Collection[object] | Callable[[Any], bool]

_COMPARISONS: tuple[tuple[str, Callable[[Any, Any], bool]], ...] = (
    (">=", operator.ge),
    ("<=", operator.le),
    ("!=", operator.ne),
    (">", operator.gt),
    ("<", operator.lt),
)


def digest(*parts: object) -> str:
    """Sixteen hexadecimal digits that name a content: equal content, equal name, on every machine.

    >>> digest("a", 1) == digest("a", 1), digest("a", 1) == digest("a", 2)
    (True, False)
    """
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:16]


@lru_cache(maxsize=1024)
def digest_scenario(scenario: Scenario) -> str:
    """The name of a scenario's content; its language's word lists are not part of it."""
    return digest(attrs.asdict(scenario, filter=lambda field, _: field.name != "lexicon"))


@attrs.frozen(kw_only=True)
class Case:
    """One thing to answer.

    Attributes:
        id: Unique within the suite.
        input: What the thing under test is given.
        reference: What a right answer is, where there is one: a text, or agreed points.
        cluster: Cases of one cluster are not independent; the id where left out. Intervals are widened by it.
        scenario: The coach's scenario, where the case comes from a pack; rubric and signals need it.
        answer: An answer recorded earlier, for `evals.recorded()`.
        tags: Facts to filter and group by.
    """

    id: str
    input: str
    reference: Json = attrs.field(default=None, hash=False)
    cluster: str = attrs.Factory(lambda self: self.id, takes_self=True)
    scenario: Scenario | None = attrs.field(default=None, repr=False)
    answer: str = ""
    tags: JsonObject = attrs.field(factory=dict, hash=False)

    @cached_property
    def digest(self) -> str:
        """The name of its content."""
        scenario = digest_scenario(self.scenario) if self.scenario is not None else ""
        return digest(self.id, self.input, self.reference, self.cluster, scenario, self.answer)


@attrs.frozen(kw_only=True)
class Suite:
    """Cases under one name.

    Attributes:
        name: What the journal and the tables call it.
        cases: In order; ids are unique.
        source: What it was loaded from, for the record.
        pack: Where its scenarios stand, as `load_pack` takes it; empty where they cannot be loaded again.
    """

    name: str
    cases: tuple[Case, ...] = attrs.field(repr=False)
    source: str = ""
    pack: str = ""

    def __attrs_post_init__(self) -> None:
        """Refuse ids that stand for two cases."""
        seen: dict[str, int] = {}
        for case in self.cases:
            seen[case.id] = seen.get(case.id, 0) + 1
        twice = [f"{name!r} {count} times" for name, count in seen.items() if count > 1]
        if twice:
            raise InputError(
                f"the suite {self.name!r} has {len(twice)} duplicate ids: {', '.join(twice[:12])}; give every case its own",
                code="evals.suite.duplicate",
            )

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @cached_property
    def digest(self) -> str:
        """The name of its content."""
        return digest([case.digest for case in self.cases])

    def case(self, case_id: str) -> Case:
        """Find a case by id.

        Raises:
            NotFoundError: `evals.case.unknown`.
        """
        for case in self.cases:
            if case.id == case_id:
                return case
        raise NotFoundError(f"no case {case_id[:60]!r} in the suite {self.name!r}", code="evals.case.unknown")

    def where(self, **conditions: Condition) -> "Suite":
        """The cases whose tags fit.

        Args:
            **conditions: Tag → a value, a comparison such as `">=2"`, a collection of values, or a function of the value.

        Raises:
            InputError: `evals.suite.tag` when no case has such a tag; `evals.suite.empty` when none fits.
        """
        known = {name for case in self.cases for name in ("id", "cluster", *case.tags)}
        unknown = sorted(set(conditions) - known)
        if unknown:
            raise InputError(f"no case has the tag {unknown[0]!r}; there are {', '.join(sorted(known))}", code="evals.suite.tag")
        kept = tuple(case for case in self.cases if all(_fits(_tag(case, name), wanted) for name, wanted in conditions.items()))
        return self._part(kept, "no case fits these conditions")

    def sample(self, size: int, *, seed: int = 0) -> "Suite":
        """A part of the suite, chosen by chance; the same seed chooses the same cases."""
        chosen = set(random.Random(seed).sample(range(len(self.cases)), min(size, len(self.cases))))  # noqa: S311  # a choice, no secret
        return self._part(tuple(case for place, case in enumerate(self.cases) if place in chosen), "a sample needs at least one case")

    def _part(self, cases: tuple[Case, ...], why_empty: str) -> "Suite":
        if not cases:
            raise InputError(f"{why_empty}: nothing of {self.name!r} is left", code="evals.suite.empty")
        return attrs.evolve(self, cases=cases)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(case.id)}</td><td>{html.escape(case.cluster)}</td><td>{html.escape(case.input[:120])}</td></tr>"
            for case in self.cases[:20]
        )
        more = f"<p>… and {len(self.cases) - 20} more</p>" if len(self.cases) > 20 else ""
        head = f"<p><b>{html.escape(self.name)}</b>: {len(self.cases)} cases</p>"
        return f"{head}<table><tr><th>id</th><th>cluster</th><th>input</th></tr>{rows}</table>{more}"


def _tag(case: Case, name: str) -> Any:
    return case.id if name == "id" else case.cluster if name == "cluster" else case.tags.get(name)


def _fits(value: Any, wanted: Condition) -> bool:
    if value is None:
        return False
    if callable(wanted):
        return bool(wanted(value))
    if isinstance(wanted, str):
        for sign, compare in _COMPARISONS:
            if wanted.startswith(sign):
                return _compare(value, wanted.removeprefix(sign).strip(), compare)
        return str(value) == wanted
    if isinstance(wanted, Collection):
        return value in wanted
    return bool(value == wanted)


def _compare(value: Any, limit: str, compare: Callable[[Any, Any], bool]) -> bool:
    try:
        return compare(float(value), float(limit))
    except ValueError:
        return compare(str(value), limit)
