"""The command menus: everybody's in each language, and an admin's in the admin's own chat.

Source: https://core.telegram.org/bots/api#setmycommands and #botcommandscope, read 2026-11-22.
"""

import logging
from collections.abc import Mapping, Sequence

from dealquest.coach.dialogue import commands_of, languages
from dealquest.errors import DealQuestError

from .calls import BotCalls

logger = logging.getLogger("dealquest.telegram")

FALLBACK = "en"
MAX_DESCRIPTION = 256


def menu(language: str, *, is_admin: bool) -> Mapping[str, str]:
    """Each command and what it does, in a language, within Telegram's limit."""
    return {command: what[:MAX_DESCRIPTION] for command, what in commands_of(language, is_admin=is_admin)}


async def set_menus(calls: BotCalls, admins: Sequence[str]) -> None:
    """Set every menu; the bot works without, so what is refused is logged.

    Args:
        calls: The bot.
        admins: The operator's list; only numeric ids name a chat.
    """
    try:
        for language in languages():
            await calls.set_menu(menu(language, is_admin=False), language="" if language == FALLBACK else language)
    except DealQuestError as exc:
        logger.warning("The command menu could not be set: %s", exc.message)
    for admin in admins:
        if admin.isdecimal():
            await _set_admin_menus(calls, int(admin))


async def _set_admin_menus(calls: BotCalls, chat: int) -> None:
    try:
        for language in languages():
            await calls.set_menu(menu(language, is_admin=True), language="" if language == FALLBACK else language, chat=chat)
    except DealQuestError as exc:
        # An admin who never wrote to the bot has no chat with it; the next start tries again.
        logger.info("The admin menu of %d could not be set: %s", chat, exc.message)
