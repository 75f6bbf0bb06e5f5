"""The dealquest coach on Telegram: the adapter between the Bot API and the dialogue; aiogram is loaded when the bot starts."""
