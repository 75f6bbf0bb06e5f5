"""The Mini App: a small page that the server delivers, and a sign-in for development."""

from .routes import routes

__all__ = ["routes"]
