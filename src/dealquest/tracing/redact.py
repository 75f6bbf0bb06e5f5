"""Take secrets out of rows before they reach disk or wire: by the name of a key, by pattern, and by exact text.

Every pattern has substrings that must be there; they are looked for first, because a regular
expression costs thirty times as much. A marker names the rule and never the text.
"""

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple
from urllib.parse import quote

from dealquest.values import Secret

from .capture import CUT, Overlong


class Rule(NamedTuple):
    """One kind of secret: a name for the marker, substrings of which one must occur, and the pattern."""

    name: str
    hints: tuple[str, ...]
    pattern: str


def _rule(name: str, hints: str, pattern: str) -> Rule:
    return Rule(name, tuple(hints.split(" ")), pattern)


# A pattern takes a cut secret too: a text may have been cut off in its middle before it came here.
RULES = (
    _rule("private key", "-----BEGIN", r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    # Words of plain prose follow "basic" too: a credential has a digit, a sign of base64, or length.
    _rule("authorization", "earer asic EARER ASIC", r"(?i)\b(?:bearer|basic)\s+(?=\S*[0-9=_]|\S{20})[A-Za-z0-9._~+/=-]{6,}"),
    _rule("jwt", "eyJ", r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){0,4}"),
    _rule("api key", "sk- sk_ pk_ ik_ rk_", r"(?<![A-Za-z0-9])(?:sk|pk|ik|rk)[-_][A-Za-z0-9_-]{8,}"),
    _rule("github token", "ghp_ gho_ ghs_ ghu_ ghr_ github_pat_", r"(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{8,}"),
    _rule("aws key", "AKIA ASIA", r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{8,}"),
    _rule("service key", "xox AIza hf_ gsk_ xai-", r"(?:xox[abeprs]-|AIza|hf_|gsk_|xai-)[A-Za-z0-9_-]{10,}"),
    _rule("url password", "://", r"(?<=://)[^/\s:@\"']*:[^/\s@\"']+(?=@)"),
    _rule(
        "named secret",
        "= :",
        r"(?i)(?:password|passwd|pwd|(?:secret|token|api[-_]?key|access[-_]?key|signature)(?=[\"']?\s*(?:=|:\s*\S*[0-9])))"
        r"[\"']?\s*[=:]\s*[\"']?[^\s\"',;&}]{3,}",
    ),
)
_BOT_LIKE = r"(?<![0-9])[0-9]{5,20}:[A-Za-z0-9_-]{30,}"
_BOT_LIKE_HINT = r"[0-9]:[A-Za-z0-9_-]{30}"

_SECRET_WORDS = frozenset(
    {
        *("apikey", "authorization", "cookie", "cookies", "credential", "credentials", "dsn", "passphrase"),
        *("passwd", "password", "pwd", "secret", "secrets", "token"),
    }
)
_SECRET_PAIRS = frozenset({("api", "key"), ("access", "key"), ("private", "key"), ("signing", "key"), ("encryption", "key")})
# Looked for in the lower-cased texts of a row; the last ones say that a name and a value may stand there.
_NAME_HINTS = ("passw", "pwd", "secret", "token", "key", "signature")
_VALUE_HINTS = tuple({hint for rule in RULES[:-1] for hint in rule.hints})
_SHORTEST = 6
_NUMBERS = frozenset({int, float, bool, type(None)})
_KNOWN_KEYS = 4096
_WORDS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+"


def names_secret(key: str) -> bool:
    """Whether a key's name says that its value is secret.

    >>> names_secret("X-Api-Key"), names_secret("accessToken"), names_secret("max_tokens")
    (True, True, False)
    """
    words = [word.lower() for word in re.findall(_WORDS, key[:200])]
    return any(word in _SECRET_WORDS for word in words) or any(pair in _SECRET_PAIRS for pair in pairwise(words))


class Redactor:
    """Finds and replaces secrets.

    Args:
        secrets: The texts the program itself holds; each is replaced wherever it occurs, also URL-quoted.
        rules: Patterns, tried in order.
    """

    def __init__(self, secrets: Iterable[Secret] = (), *, rules: Iterable[Rule] = RULES) -> None:
        self._rules = tuple(rules)
        exact = {form for secret in secrets if len(text := secret.reveal()) >= _SHORTEST for form in (text, quote(text, safe=""))}
        # Closures keep the texts out of vars() and of captured frames.
        self._replace_exact: Callable[[str], str] = _replacer(tuple(sorted(exact, key=len, reverse=True)))
        own_hints = {hint for rule in self._rules if rule not in RULES for hint in rule.hints}
        hints = (*_VALUE_HINTS, *own_hints, *exact)
        self._has_hint: Callable[[str], bool] = lambda text: any(hint in text for hint in hints)
        self._secret_keys: dict[str, bool] = {}

    def suspects(self, *values: Any) -> bool:
        """Whether values may hold a secret; False is certain, True asks for the slow way."""
        texts: list[str] = []
        for value in values:
            if value is not None and self._collect(value, texts):
                return True
        if not texts:
            return False
        text = "\n".join(texts)
        if self._has_hint(text) or (":" in text and re.search(_BOT_LIKE_HINT, text) is not None):
            return True
        if "=" not in text and ":" not in text:
            return False
        lowered = text.lower()
        return any(hint in lowered for hint in _NAME_HINTS)

    def _collect(self, value: Any, texts: list[str]) -> bool:
        """Gather texts long enough to be a secret; True at once for a key that names one, or a text that must be cut."""
        cls = value.__class__
        if cls is str:
            if len(value) >= _SHORTEST:
                texts.append(value)
        elif cls is dict:
            known = self._secret_keys.get
            for key, item in value.items():
                if known(key, True) and self._is_secret_key(key):
                    return True
                kind = item.__class__
                if kind is str:
                    if len(item) >= _SHORTEST:
                        texts.append(item)
                elif kind not in _NUMBERS and self._collect(item, texts):
                    return True
        elif cls is list or cls is tuple:
            if len(value) == 2 and value[0].__class__ is str and self._is_secret_key(value[0]):
                return True
            return any(self._collect(item, texts) for item in value)
        return cls is Overlong

    def _is_secret_key(self, key: str) -> bool:
        known = self._secret_keys.get(key)
        if known is None:
            known = names_secret(key) or self.clean_text(key) != key
            if len(self._secret_keys) < _KNOWN_KEYS:
                self._secret_keys[key] = known
        return known

    def clean_text(self, text: str) -> str:
        """The text without secrets; an `Overlong` one is cut after that.

        >>> Redactor().clean_text("call with sk-abcdefghijkl failed")
        'call with [redacted: api key] failed'
        """
        cleaned = self._replace_exact(str(text))
        for rule in self._rules:
            if any(hint in cleaned for hint in rule.hints):
                cleaned = re.sub(rule.pattern, f"[redacted: {rule.name}]", cleaned)  # re keeps compiled patterns
        if ":" in cleaned:
            cleaned = re.sub(_BOT_LIKE, "[redacted: bot token]", cleaned)
        return cut_text(cleaned, text.limit) if isinstance(text, Overlong) else cleaned

    def clean(self, value: Any) -> Any:
        """A JSON-ready value without secrets, in keys, texts, and name and value pairs."""
        if isinstance(value, str):
            return self.clean_text(value)
        if isinstance(value, dict):
            return {self.clean_text(key): self._clean_named(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            if len(value) == 2 and isinstance(value[0], str) and not isinstance(value[1], (dict, list)):
                return [self.clean_text(value[0]), self._clean_named(value[0], value[1])]
            return [self.clean(item) for item in value]
        return value

    def _clean_named(self, key: str, value: Any) -> Any:
        if value is None or isinstance(value, bool) or not names_secret(key):
            return self.clean(value)
        return "[redacted: key name]"


def _replacer(exact: tuple[str, ...]) -> Callable[[str], str]:
    def replace(text: str) -> str:
        for secret in exact:
            if secret in text:
                text = text.replace(secret, "[redacted: own secret]")
        return text

    return replace


def cut_text(text: str, limit: int) -> str:
    """At most `limit` characters, with a sign where something is missing."""
    return text if len(text) <= limit else text[:limit] + CUT
