"""The AI routes: chat, embeddings, models and usage, with a budget for each caller."""

from .routes import routes

__all__ = ["routes"]
