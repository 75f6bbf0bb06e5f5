"""With a model set, the score is its verdict on the rubric; whatever it answers, the seller's answer is not lost."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dealquest.coach.scenarios import load_pack
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.testing import Arrival, LoopbackServer, Reply

ANSWER = "What does the delay cost you each month, and who feels it? Could we talk on Thursday at 10 for 15 minutes?"


class Model(LoopbackServer):
    """An OpenAI-compatible server whose answer is scripted by a mode."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.prompts: list[str] = []

    def answer(self, arrival: Arrival) -> Reply:
        body = json.loads(b"".join(arrival.chunks()) or b"{}")
        if arrival.method == "GET":
            return Reply.json({"object": "list", "data": []})
        self.prompts.append(json.dumps(body))
        if self.mode == "wrong key":
            return Reply.json({"error": {"message": "Incorrect API key provided: sk-canary-key", "code": "invalid_api_key"}}, status=401)
        text = "I would say it was fine." if self.mode == "nonsense" else json.dumps(self.verdict(json.dumps(body)))
        return Reply.json(
            {
                "id": "c1",
                "object": "chat.completion",
                "model": "judge-1",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 900, "completion_tokens": 200, "total_tokens": 1100},
            }
        )

    def verdict(self, prompt: str) -> dict[str, Any]:
        """Full marks for the criteria of the scenario whose situation stands in the prompt."""
        scenario = next(s for s in load_pack("en").scenarios if json.dumps(s.situation)[1:60] in prompt)
        quotes = ("What does the delay cost you each month", "and who feels it", "Could we talk on Thursday at 10")
        criteria = [
            {"criterion": c.id, "score": c.weight, "feedback": "Well done.", "quote": quotes[number % 3], "suggestion": ""}
            for number, c in enumerate(scenario.rubric)
        ]
        return {"criteria": criteria, "strengths": ["A clear question."], "improvements": []}


def play(home: Path, server: Model, lines: str) -> str:
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_URL", "_TOKEN"))}
    done = subprocess.run(
        [sys.executable, "-m", "dealquest", "chat", "--plain", "--name", "ann"],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={**clean, "DEALQUEST_HOME": str(home), "OPENAI_BASE_URL": f"{server.base_url}/v1", "OPENAI_API_KEY": "sk-canary-key"},
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "sk-canary-key" not in done.stdout + done.stderr
    return done.stdout


def test_a_model_scores_against_the_rubric(home: Path) -> None:
    """The verdict's points are summed by us, and the offline hint is gone."""
    with Model("good") as server:
        said = play(home, server, f"/train easy\n{ANSWER}\n")
    assert "100 of 100" in said
    assert "offline by signals" not in said
    assert any(ANSWER in prompt for prompt in server.prompts)  # the house also asks for new scenarios
    with EmbeddedPostgres(home) as postgres, psycopg.connect(postgres.dsn()) as records:
        calls = records.execute(
            "select trace_id, model, s.input_tokens, s.output_tokens from pipeline_spans s join pipeline_traces using (trace_id) "
            "where kind = 'llm' and pipeline_name = 'train'"
        ).fetchall()
        assert [call[1:] for call in calls] == [("judge-1", 900, 200)]
        assert records.execute(
            "select pipeline_name, input_tokens from pipeline_traces where trace_id = %s", (calls[0][0],)
        ).fetchall() == [("train", 900)]


@pytest.mark.parametrize("mode", ["nonsense", "wrong key"])
def test_an_answer_that_could_not_be_scored_is_kept(home: Path, mode: str) -> None:
    """A model that answers nonsense or refuses the key costs nothing: the answer waits and can be scored offline."""
    with Model(mode) as server:
        said = play(home, server, f"/train easy\n{ANSWER}\n/stats\n")
        assert "could not be scored" in said
        assert "No graded answers yet" in said
        again = play(home, server, "/start\nScore it offline\n")
    assert "still waiting for its score" in again
    assert "of 100" in again
