"""A transport that answers like a server of chat models, from a function: for runs, tests and notebooks without a network.

It counts, prices and fails as told. It is no language model; `judge_by` makes it a judge that keeps to the coach's rules for
verdicts, so that a whole evaluation can be walked through offline.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import anyio
import attrs
import msgspec

from dealquest.wire import HttpRequest, HttpResponse, HttpStream

_RUBRIC = re.compile(r"^- ([\w.-]+) \((\d+) points\):", re.MULTILINE)
_ANSWER = re.compile(r"<<(\w+)>>\n(.*)\n<</\1>>", re.DOTALL)


@attrs.frozen(kw_only=True)
class ChatQuestion:
    """What a model was asked.

    Attributes:
        model: Which one.
        system: Its standing orders.
        messages: The turns after them, as role and content.
        number: How many questions came before it.
    """

    model: str
    system: str
    messages: Sequence[Mapping[str, str]]
    number: int

    @property
    def text(self) -> str:
        """The last turn."""
        return self.messages[-1]["content"] if self.messages else ""


@attrs.frozen(kw_only=True)
class ChatAnswer:
    """What it answers; a status above 200 is an error."""

    text: str = ""
    status: int = 200
    cost_usd: float | None = 0.001
    after_s: float = 0.0


AnswerChat: TypeAlias = Callable[[ChatQuestion], "ChatAnswer | str"]


class ChatModels:
    """Answers chat completions.

    Args:
        answer: The answer to a question, as text or with its circumstances.

    Attributes:
        questions: Everything that was asked, in order.
        most_at_once: The largest number of questions under way at one time.
    """

    def __init__(self, answer: AnswerChat) -> None:
        self._answer = answer
        self._open = 0
        self.questions: list[ChatQuestion] = []
        self.most_at_once = 0

    @property
    def asked(self) -> Mapping[str, int]:
        """Model → questions."""
        return Counter(question.model for question in self.questions)

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer one question."""
        body = msgspec.json.decode(request.body if isinstance(request.body, bytes) else b"{}")
        turns = [{"role": turn["role"], "content": _text_of(turn["content"])} for turn in body["messages"]]
        question = ChatQuestion(
            model=body["model"],
            system="\n".join(turn["content"] for turn in turns if turn["role"] == "system"),
            messages=[turn for turn in turns if turn["role"] != "system"],
            number=len(self.questions),
        )
        self.questions.append(question)
        made = self._answer(question)
        answer = ChatAnswer(text=made) if isinstance(made, str) else made
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            await anyio.sleep(answer.after_s)
        finally:
            self._open -= 1
        return HttpResponse(status=answer.status, headers=(("content-type", "application/json"),), body=_body(question, answer))

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Streams are not answered: evaluations ask for whole answers."""
        raise AssertionError(f"nothing streams from {request.url} here")


def judge_by(share: Callable[[str], float]) -> AnswerChat:
    """A judge that gives every criterion the same share of its points, and quotes the answer's own words.

    Args:
        share: The answer's text → 0 to 1.
    """

    def judge(question: ChatQuestion) -> str:
        found = _ANSWER.search(question.messages[0]["content"])
        answer = found.group(2) if found is not None else ""
        rubric = [(name, int(points)) for name, points in _RUBRIC.findall(question.system)]
        words = answer.split()
        size = max(2, len(words) // max(1, len(rubric)))
        criteria = []
        for place, (name, points) in enumerate(rubric):
            quote = " ".join(words[place * size : place * size + size]) or " ".join(words[:2])
            criteria.append(
                {"criterion": name, "quote": quote, "feedback": "As said.", "score": round(points * share(answer)), "suggestion": ""}
            )
        return msgspec.json.encode({"criteria": criteria, "strengths": [], "improvements": []}).decode()

    return judge


def _text_of(content: str | Sequence[Mapping[str, str]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _body(question: ChatQuestion, answer: ChatAnswer) -> bytes:
    if answer.status != 200:
        return msgspec.json.encode({"error": {"message": answer.text or "scripted", "code": answer.status}})
    tokens = {"prompt_tokens": sum(len(turn["content"]) for turn in question.messages) // 4, "completion_tokens": len(answer.text) // 4}
    return msgspec.json.encode(
        {
            "id": f"gen-{question.number}",
            "model": question.model,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer.text}}],
            "usage": tokens | ({} if answer.cost_usd is None else {"cost": answer.cost_usd}),
        }
    )
