"""Which parts the settings bring: a PostgREST of one's own needs its secret, ears need somebody who hears."""

from pathlib import Path

import attrs
import pytest

from dealquest.compose import open_kit, open_service_transport
from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.values import Principal, Secret

ELSEWHERE = "http://127.0.0.1:9"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Records behind an address that nobody answers; nothing is asked when a kit is opened."""
    return Settings(home=tmp_path, postgrest_base_url=ELSEWHERE, jwt_secret=Secret("x" * 32))


@pytest.mark.parametrize("change", [{"jwt_secret": None}, {"postgrest_base_url": None, "insforge_base_url": ELSEWHERE}])
async def test_records_elsewhere_need_their_key(settings: Settings, change: dict[str, str | None]) -> None:
    """Without what signs its requests, an address alone is refused in words."""
    with pytest.raises(SettingsError) as caught:
        async with open_service_transport(attrs.evolve(settings, **change)):
            pass
    assert caught.value.code == "settings.invalid"


@pytest.mark.parametrize("hears", [True, False])
async def test_a_house_hears_where_somebody_listens(settings: Settings, hears: bool) -> None:
    """Voice messages are offered exactly where a key for them is set."""
    key = Secret("a-key-for-tests") if hears else None
    async with open_kit(attrs.evolve(settings, assemblyai_api_key=key)) as kit:
        assert (kit.house.hears, kit.ears is not None) == (hears, hears)
        assert kit.transport_of is not None
        assert kit.transport_of(Principal(role="anon")) is not None
