"""The dealquest coach on Telegram."""
