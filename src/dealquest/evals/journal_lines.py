"""What stands in a journal: one JSON object a line, told apart by `t`. Values only.

A line is written once and never changed; a later line about the same thing takes its place when it is read.
Costs are USD, times are seconds, scores are points from 0 to 100.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

FORMAT = 1


class Call(msgspec.Struct, omit_defaults=True, gc=False):
    """One call of a model.

    Attributes:
        model: What was asked for.
        served: Who answered, as the server says.
        provider: Whose server.
        input_tokens: Of the question, repairs included.
        output_tokens: Of the answer, reasoning included.
        cost_usd: What it cost; None when nobody knows.
        cost_source: `provider`, `prices`, `cache` (paid for earlier) or `unknown`.
        wait_s: Time it waited for its turn at a limit of ours.
        elapsed_s: Time from the first request to the whole answer.
        attempts: Requests that were sent.
        error: The code of the error that ended it.
    """

    model: str = ""
    served: str = ""
    provider: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    cost_source: str = "unknown"
    wait_s: float = 0.0
    elapsed_s: float = 0.0
    attempts: int = 1
    error: str = ""


class Failure(msgspec.Struct):
    """Why there is no answer or no score."""

    code: str
    message: str
    retryable: bool = False


class ManifestLine(msgspec.Struct, tag_field="t", tag="manifest", kw_only=True):
    """How a run was made; the first line of every session that wrote to the journal.

    Attributes:
        format: Of the journal.
        name: The run's.
        started_at: Wall time.
        suite: Name, source, digest and size.
        subjects: Name → what it is, with the prompt and its digest.
        scorers: Name → what it is.
        repeats: Answers a case and subject.
        seed: Of every choice by chance.
        judge_check: How many scenarios' anchors every judge is checked on.
        versions: Python, dealquest and what else takes part.
        prices: Model → USD a million tokens, with the day they were read under `read`.
        git: The commit of the working folder, where there is one.
        digest: The name of suite, subjects, scorers and repeats together: what a resumed run must share.
    """

    format: int = FORMAT
    name: str
    started_at: datetime
    suite: dict[str, Any]
    subjects: dict[str, dict[str, Any]]
    scorers: dict[str, dict[str, Any]]
    repeats: int
    seed: int
    judge_check: int
    versions: dict[str, str]
    prices: dict[str, Any]
    git: str = ""
    digest: str


class CaseLine(msgspec.Struct, tag_field="t", tag="case", omit_defaults=True, kw_only=True):
    """A case, whole enough to be read and labelled without its source; `part` tells the suite from judge checks."""

    id: str
    input: str
    reference: Any = None
    cluster: str = ""
    scenario: str = ""
    language: str = ""
    answer: str = ""
    tags: dict[str, Any] = {}
    digest: str = ""
    part: Literal["suite", "check"] = "suite"


class AnswerLine(msgspec.Struct, tag_field="t", tag="answer", omit_defaults=True, kw_only=True):
    """What a subject answered to a case, or why it did not."""

    key: str
    case: str
    subject: str
    repeat: int = 0
    text: str = ""
    turns: tuple[tuple[str, str], ...] = ()
    data: Any = None
    calls: tuple[Call, ...] = ()
    wait_s: float = 0.0
    elapsed_s: float = 0.0
    trace: str = ""
    failure: Failure | None = None


class Part(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One criterion of a score."""

    name: str
    points: float
    of: float
    quote: str = ""
    feedback: str = ""


class ScoreLine(msgspec.Struct, tag_field="t", tag="score", omit_defaults=True, kw_only=True):
    """What a scorer gave for an answer, or why it gave nothing."""

    key: str
    scorer: str
    points: float | None = None
    parts: tuple[Part, ...] = ()
    note: str = ""
    facts: Any = None
    calls: tuple[Call, ...] = ()
    failure: Failure | None = None


class CheckLine(msgspec.Struct, tag_field="t", tag="check", omit_defaults=True, kw_only=True):
    """One scoring of an anchor answer by a judge, for the judge report.

    `variant` is `plain`, `reordered` (criteria in reverse order) or `reworded` (a neutral rewording of the rubric).
    """

    scorer: str
    case: str
    variant: str
    label: float
    points: float | None = None
    parts: tuple[Part, ...] = ()
    words: int = 0
    calls: tuple[Call, ...] = ()
    failure: Failure | None = None


class LabelLine(msgspec.Struct, tag_field="t", tag="label", omit_defaults=True, kw_only=True):
    """A person's points for an answer."""

    key: str
    by: str
    points: float
    parts: tuple[Part, ...] = ()
    note: str = ""
    at: datetime


class EndLine(msgspec.Struct, tag_field="t", tag="end", omit_defaults=True, kw_only=True):
    """A session ended in order; a journal without it was cut off."""

    at: datetime
    wall_s: float
    finished: int
    left: int
    stopped: Failure | None = None


Line: TypeAlias = ManifestLine | CaseLine | AnswerLine | ScoreLine | CheckLine | LabelLine | EndLine
