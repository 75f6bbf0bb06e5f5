"""A model double that judges answers, for the flows whose score comes from a model."""

import json

from dealquest.coach.scenarios import load_pack
from dealquest.testing import Arrival, LoopbackServer, Reply


class Judge(LoopbackServer):
    """An OpenAI-compatible server that gives full marks to whatever it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []

    def answer(self, arrival: Arrival) -> Reply:
        body = json.loads(b"".join(arrival.chunks()) or b"{}")
        if arrival.method == "GET":
            return Reply.json({"object": "list", "data": []})
        prompt = json.dumps(body)
        self.prompts.append(prompt)
        scenario = next((s for s in load_pack("en").scenarios if json.dumps(s.situation)[1:60] in prompt), None)
        if scenario is None:
            return Reply.json({"error": {"message": "this double only judges"}}, status=400)
        quotes = ("What does it cost you each month?", "Could we talk on Thursday at 10", "for 15 minutes?")
        criteria = [
            {"criterion": c.id, "score": c.weight, "feedback": "Good.", "quote": quotes[number % 3], "suggestion": ""}
            for number, c in enumerate(scenario.rubric)
        ]
        message = {"role": "assistant", "content": json.dumps({"criteria": criteria, "strengths": [], "improvements": []})}
        return Reply.json(
            {
                "id": "c1",
                "object": "chat.completion",
                "model": "judge-1",
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100},
            }
        )
