"""The dealquest cores behind HTTP, on Starlette and uvicorn."""

from .app import create_app
from .serving import serve

__all__ = ["create_app", "serve"]
