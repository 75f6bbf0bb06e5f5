"""What the tests of flows share: the real engine, and a person who chats over it."""

from typing import Any

from dealquest.coach.dialogue import House
from dealquest.coach.effects import Effects
from dealquest.coach.pack import Scenario
from dealquest.coach.scenarios import load_pack
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.testing import Chatter, ScriptedModels

PACK = load_pack("en")


def chatter(
    records: Postgrest, models: ScriptedModels | None = None, *, name: str = "ann", worker: str = "w", first: int = 1, **house: Any
) -> Chatter:
    """Ann, with a model or without."""
    effects = Effects(packs=lambda _: PACK, looks=records, models=models, house=House(**house))
    return Chatter(Turns(records, effects=effects, worker=worker), name=name, first_update=first)


async def open_scenario(records: Postgrest, chat: str = "ann") -> Scenario:
    """The scenario that the chat's state names."""
    row = await records.table("dialogue_states").select("state").where(chat=chat).one()
    return PACK.scenario(row["state"]["scenario_id"])


async def rows(records: Postgrest, table: str) -> list[dict[str, Any]]:
    """Every row."""
    found: list[dict[str, Any]] = await records.table(table).select("*").all()
    return found
