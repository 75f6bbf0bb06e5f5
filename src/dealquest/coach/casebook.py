"""Cases: what helped in one deal, kept for the next one without anybody's name. Pure; SQL finds and keeps them."""

import re
from collections.abc import Iterable
from typing import Literal, TypeAlias

import attrs

PersonaType: TypeAlias = Literal[
    "economic_buyer", "champion", "end_user", "procurement", "technical_evaluator", "founder", "gatekeeper", "other"
]
ScenarioType: TypeAlias = Literal[
    "cold_outreach",
    "no_reply",
    "price_objection",
    "timing_objection",
    "incumbent_competitor",
    "status_quo",
    "stakeholder_alignment",
    "security_review",
    "meeting_follow_up",
    "negotiation",
    "closing",
    "renewal_expansion",
    "other",
]

MIN_QUALITY = 0.7
"""Of a case that is kept; the same number is in the migration."""

_CONTACTS = (
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE),
    re.compile(r"(?<!\w)@\w{3,}"),
    re.compile(r"(?<![\w.])\+?\d[\d ()/-]{7,}\d(?!\w)"),
)
_NAME_PARTS = re.compile(r"[^\W\d_]{2,}(?:['’-][^\W\d_]+)*")  # noqa: RUF001  # the typographic apostrophe itself
_NO_BLANKS_FROM = "\u0e00"
_LEGAL_FORMS = {
    "gmbh",
    "inc",
    "ltd",
    "llc",
    "corp",
    "group",
    "the",
    "and",
    "und",
    "von",
    "van",
    "der",
    "die",
    "das",
    "for",
    "bank",
    "company",
    "holding",
}


@attrs.frozen(kw_only=True)
class Case:
    """One case as it is read back."""

    id: int
    persona_type: str
    scenario_type: str
    industry: str = ""
    seniority: str = ""
    analysis: str = ""
    strategy: str = ""
    tactics: str = ""
    draft: str = ""

    @property
    def title(self) -> str:
        """Its kind in words."""
        kinds = [self.scenario_type, self.persona_type, self.industry]
        return ", ".join(kind.replace("_", " ") for kind in kinds if kind and kind != "other")


@attrs.frozen(kw_only=True)
class NamelessCase:
    """A case that may be kept: the same without an id, and without names."""

    persona_type: str
    scenario_type: str
    industry: str
    seniority: str
    analysis: str
    strategy: str
    tactics: str
    draft: str


def describe_case(case: Case, *, most: int = 700) -> str:
    """A case for a prompt; each part is cut at a word's end."""
    parts = (("Analysis", case.analysis), ("Strategy", case.strategy), ("Tactics", case.tactics), ("Message", case.draft))
    return "\n".join([f"Kind: {case.title}", *(f"{name}: {shorten(text, most)}" for name, text in parts if text)])


def shorten(text: str, most: int) -> str:
    """The text, or its beginning up to a word's end.

    >>> shorten("one two three", 9)
    'one two …'
    """
    if len(text) <= most:
        return text
    head = text[:most]
    return (head.rsplit(None, 1)[0] if " " in head else head) + " …"


def strip_names(text: str, *, people: Iterable[str] = (), companies: Iterable[str] = ()) -> str:
    """Take people, companies and every address out of a text.

    >>> strip_names("Dear Ann, ann.lee@acme.io told me ACME grows.", people=["Ann Lee"], companies=["Acme GmbH"])
    'Dear [name], [contact] told me [company] grows.'
    """
    for pattern in _CONTACTS:
        text = pattern.sub("[contact]", text)
    for names, stand_in in ((companies, "[company]"), (people, "[name]")):
        for word in _words_of(names):
            text = re.sub(_spelling(word), stand_in, text, flags=re.IGNORECASE)
    return re.sub(r"(\[(?:name|company|contact)\])(?:[\s-]+\1)+", r"\1", text)


def _spelling(word: str) -> str:
    """A name as a word, or with a genitive's s; scripts that write no blanks between words (from Thai on) have no word's end."""
    return re.escape(word) if word[0] >= _NO_BLANKS_FROM else rf"(?<!\w){re.escape(word)}(?:['’]?s)?(?!\w)"  # noqa: RUF001  # see above


def _words_of(names: Iterable[str]) -> list[str]:
    """Whole names first, then their parts: a text may use either."""
    words: set[str] = set()
    for name in names:
        parts = [part for part in _NAME_PARTS.findall(name) if part.casefold() not in _LEGAL_FORMS]
        words.update([name.strip(), *parts] if name.strip() else [])
    return sorted(words, key=lambda word: (-len(word), word))
