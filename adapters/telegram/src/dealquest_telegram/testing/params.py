"""The parameters of one call, whichever way they came: query, form, multipart or JSON.

Source: https://core.telegram.org/bots/api#making-requests, read 2026-11-22.
"""

from collections.abc import Mapping
from typing import Any

import attrs
import msgspec

from .refusal import bad_request


@attrs.frozen(kw_only=True)
class Upload:
    """A file that came with a call."""

    name: str
    mime_type: str
    content: bytes = attrs.field(repr=False)


class Params:
    """Typed access to a call's parameters; a value of the wrong shape is refused as the public server does.

    Args:
        values: Texts of a form, or decoded values of a JSON body.
        uploads: Files of a multipart body by field name.
    """

    def __init__(self, values: Mapping[str, Any], uploads: Mapping[str, Upload] | None = None) -> None:
        self.values = dict(values)
        self.uploads = dict(uploads or {})

    def text(self, name: str) -> str:
        """A text, blank when it is missing."""
        value = self.values.get(name)
        return "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        try:
            return int(value)
        except (TypeError, ValueError) as exc:
            raise bad_request(f'parameter "{name}" must be an integer') from exc

    def flag(self, name: str) -> bool:
        """A truth value: true, 1, yes and y count."""
        return str(self.values.get(name, "")).casefold() in {"true", "1", "yes", "y"}

    def json(self, name: str, default: Any = None) -> Any:
        """A JSON-serialised value."""
        value = self.values.get(name)
        if value is None or value == "":
            return default
        if not isinstance(value, str):
            return value
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError as exc:
            raise bad_request(f"can't parse {name} JSON object") from exc

    def upload(self, name: str) -> Upload | None:
        """The file of a field, sent in place or by `attach://`."""
        if name in self.uploads:
            return self.uploads[name]
        value = self.text(name)
        return self.uploads.get(value.removeprefix("attach://")) if value.startswith("attach://") else None
