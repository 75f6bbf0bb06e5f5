"""How a peer's own words may stand in our errors: short, printable, without addresses and without our key."""

import re

from dealquest.values import Secret

_ADDRESS = re.compile(r"https?://\S+")
_LONGEST = 200


def quote_peer(text: str, key: Secret | None) -> str:
    r"""Make `: what the peer said`, or nothing when it said nothing.

    Args:
        text: What the peer said.
        key: Our key, in case it is echoed.

    >>> quote_peer("Bad key sk-1 for https://cdn.example/x.ogg\n", Secret("sk-1"))
    ': Bad key *** for (address)'
    """
    known = text.replace(key.reveal(), "***") if key else text
    plain = _ADDRESS.sub("(address)", known)
    plain = " ".join("".join(character if character.isprintable() else " " for character in plain).split())
    return f": {plain[:_LONGEST].rstrip('. ')}" if plain else ""
