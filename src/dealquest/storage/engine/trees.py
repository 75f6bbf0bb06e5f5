"""Walks of the AST: its comparisons, its size, its depth."""

from collections.abc import Iterator

from dealquest.storage.postgrest.ast import Condition, Embed, Filter, Logic, SelectItem


def filters_of(conditions: tuple[Condition, ...]) -> Iterator[Filter]:
    """Every comparison, out of its trees."""
    for condition in conditions:
        if isinstance(condition, Logic):
            yield from filters_of(condition.items)
        else:
            yield condition


def count_items(select: tuple[SelectItem, ...]) -> int:
    """Columns and embeds of a select, all levels."""
    return sum(1 + (count_items(item.select) if isinstance(item, Embed) else 0) for item in select)


def measure_depth(select: tuple[SelectItem, ...]) -> int:
    """Levels of embeds."""
    return max((1 + measure_depth(item.select) for item in select if isinstance(item, Embed)), default=0)
