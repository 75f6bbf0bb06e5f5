"""Talk to a bot without Telegram: an offline Bot API server, a bot, and a person who writes to it."""

import tempfile
from pathlib import Path

import anyio

from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_telegram import serve_telegram
from dealquest_telegram.testing import BotApiServer, EchoConversation


async def main() -> None:
    """Start both, say two things, and stop."""
    with tempfile.TemporaryDirectory() as folder:
        conversation = EchoConversation(Path(folder) / "echo.db")
        async with BotApiServer() as api, anyio.create_task_group() as group:
            settings = Settings(home=Path(folder), telegram_bot_token=Secret(api.token), telegram_api_base=api.base_url)
            stop = anyio.Event()

            async def serve() -> None:
                await serve_telegram(settings, lambda _: conversation, stop=stop)

            group.start_soon(serve)
            ann = api.user("Ann")
            await ann.says("/buttons")
            reply = await ann.waits_for_reply(timeout_s=30)
            print(reply.text, reply.labels)
            await ann.presses("Go on")
            print((await ann.waits_for_reply()).text)
            stop.set()
        conversation.close()


if __name__ == "__main__":
    anyio.run(main)
