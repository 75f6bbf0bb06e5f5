"""What a span keeps of an exception, before redaction."""

import traceback
from typing import NamedTuple

from .capture import CUT_MARGIN, Overlong

MAX_NAME = 200
MAX_ERROR = 2_000


class Failure(NamedTuple):
    """An exception in words."""

    type_name: str
    message: str
    stack_hash: str
    stack: str | None


def describe_failure(error: BaseException, *, with_stack: bool) -> Failure:
    """What to keep of an exception; a failing `__str__` of it does not matter."""
    import hashlib  # noqa: PLC0415  # only failures need it

    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # foreign code
        text = "(its message cannot be read)"
    frames = traceback.extract_tb(error.__traceback__, limit=-30) if with_stack else None
    places: list[str] = []
    step = error.__traceback__
    while step is not None and len(places) < 100:
        places.append(f"{step.tb_frame.f_code.co_filename}:{step.tb_frame.f_code.co_qualname}")
        step = step.tb_next
    cls = type(error)
    type_name = cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return Failure(
        type_name=type_name[:MAX_NAME],
        message=text if len(text) <= MAX_ERROR else Overlong(text[: MAX_ERROR + CUT_MARGIN], MAX_ERROR),
        stack_hash=hashlib.blake2b("\n".join((type_name, *places)).encode("utf-8", "replace"), digest_size=8).hexdigest(),
        stack="".join(traceback.format_list(frames)) if frames is not None else None,
    )
