"""The coach over HTTP: events in, replies out, over the same durable turns as every other channel."""

from .routes import routes
from .worker import keep_working

__all__ = ["keep_working", "routes"]
