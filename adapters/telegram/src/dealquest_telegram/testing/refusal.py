"""How the offline server says no: the Bot API's own status, words and parameters.

Not an error of dealquest: it never leaves the server but as an answer on the wire.
"""

from typing import Any


class Refusal(Exception):  # noqa: N818  # an answer of the protocol, not an error of ours
    """One negative answer of the Bot API.

    Args:
        status: `error_code`, which is also the HTTP status.
        description: The words the public server uses, since bots match on them.
        parameters: `retry_after` or `migrate_to_chat_id`.
    """

    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {"ok": False, "error_code": self.status, "description": self.description}
        return {**body, "parameters": self.parameters} if self.parameters else body


def bad_request(words: str) -> Refusal:
    """A 400 with the prefix the public server puts before every one."""
    return Refusal(400, f"Bad Request: {words}")
