"""Read one table of a scenario file value by value, noting what is missing or wrong instead of stopping.

It knows nothing of scenarios; `pack_reader` does.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

_T = TypeVar("_T")
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")


@attrs.define(kw_only=True)
class FileTable:
    """One table of a file: each getter reports what is missing or wrong and returns something usable."""

    data: Mapping[str, Any]
    path: str
    file: str
    faults: list[tuple[str, str]]
    known: set[str] = attrs.field(factory=set)

    def place(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def fault(self, key: str, message: str) -> None:
        self.faults.append((self.place(key) if key else self.path, message))

    def get(self, key: str, kind: type[_T], article: str, default: _T | None = None) -> _T | None:
        self.known.add(key)
        if key not in self.data:
            if default is None:
                self.fault(key, f"missing; expected {article}")
            return default
        value = self.data[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fault(key, f"expected {article}, found {_name_of(value)}")
            return default
        return value

    def text(self, key: str, *, most: int, default: str | None = None) -> str:
        value = self.get(key, str, "a text", default)
        if value is None:
            return ""
        if not value.strip() and default is None:
            self.fault(key, "the text is empty")
        if len(value) > most:
            self.fault(key, f"the text has {len(value)} characters; at most {most} are allowed")
        return value.strip()

    def number(self, key: str, *, least: int, most: int, default: int | None = None) -> int:
        wanted = f"a whole number from {least} to {most}" if least < most else f"the number {least}"
        value = self.get(key, int, wanted, default)
        if value is None:
            return least
        if not least <= value <= most and value != default:
            self.fault(key, f"{value} is outside {least} to {most}" if least < most else f"expected {wanted}, found {value}")
        return value

    def flag(self, key: str) -> bool:
        return bool(self.get(key, bool, "true or false", default=False))

    def identifier(self, key: str = "id") -> str:
        value = self.text(key, most=32)
        if value and not _ID.fullmatch(value):
            self.fault(key, f"{value!r} is not an id: use a to z, 0 to 9, '_', '.', '-', beginning with a letter or a digit")
        return value

    def choice(self, key: str, options: tuple[str, ...]) -> Any:
        value = self.text(key, most=32)
        if value not in options:
            if value:
                self.fault(key, f"{value!r} is not known; one of: {', '.join(options)}")
            return options[0]
        return value

    def texts(self, key: str, *, least: int, most: int) -> tuple[str, ...]:
        values: list[Any] = self.get(key, list, "a list of texts", [] if least == 0 else None) or []
        good = []
        for index, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                self.fault(f"{key}[{index}]", f"expected a text, found {_name_of(value)}")
            elif len(value) > most:
                self.fault(f"{key}[{index}]", f"the text has {len(value)} characters; at most {most} are allowed")
            else:
                good.append(value.strip())
        if key in self.data and len(values) < least:
            self.fault(key, f"at least {least} needed, found {len(values)}")
        return tuple(good)

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> "FileTable":
        value: Any = self.get(key, dict, "a table", default)
        return self.child(key, value or {})

    def tables(self, key: str, *, least: int) -> list["FileTable"]:
        values: list[Any] = self.get(key, list, "a list of tables", [] if least == 0 else None) or []
        if key in self.data and len(values) < least:
            self.fault(key, f"at least {least} needed, found {len(values)}")
        tables = []
        for index, value in enumerate(values):
            if isinstance(value, dict):
                tables.append(self.child(f"{key}[{index}]", value))
            else:
                self.fault(f"{key}[{index}]", f"expected a table, found {_name_of(value)}")
        return tables

    def child(self, key: str, data: Mapping[str, Any]) -> "FileTable":
        return FileTable(data=data, path=self.place(key), file=self.file, faults=self.faults)

    def finish(self) -> None:
        for key in sorted(self.data.keys() - self.known):
            self.fault(key, f"unknown key; known here: {', '.join(sorted(self.known))}")


def _name_of(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a decimal number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")
