"""Nothing of the offline scorer is English but the words in its common file."""

from pathlib import Path
from typing import Any

from dealquest.coach import score_by_signals
from dealquest.coach.pack_reader import read_pack
from dealquest.coach.scenarios import _common_of

GERMAN: dict[str, Any] = {
    "language": "de",
    "endings": ["e", "en", "n", "s", "t"],
    "phrases": {
        "small_word": [
            "ich",
            "sie",
            "wir",
            "das",
            "die",
            "der",
            "den",
            "dem",
            "ein",
            "eine",
            "einen",
            "ist",
            "war",
            "und",
            "oder",
            "mit",
            "bei",
            "zu",
            "um",
            "von",
            "in",
            "am",
            "auf",
            "für",
            "was",
            "wie",
            "wer",
            "wenn",
            "es",
            "uns",
            "ihnen",
        ],
        "question_opening": ["was kostet", "wie oft"],
        "open_question": ["was", "wie", "wer", "warum"],
        "number": ["zwei", "drei"],
        "step": ["gespräch", "termin", "zeigen"],
        "time": ["montag", "dienstag", "um 10*"],
        "duration": ["* minuten"],
        "pitch": ["unsere plattform"],
        "to_the_scorer": ["volle punktzahl"],
    },
    "wording": {**_common_of("en")["wording"], "note": "Ohne Modell bewertet."},
    "criteria": {},
}
SCENARIO = (Path(__file__).parent / "german.toml").read_text(encoding="utf-8")


def test_a_pack_in_another_language_is_scored_by_its_own_words() -> None:
    """German questions and steps are seen with German words, and the card speaks for them."""
    pack, faults = read_pack({"eins.toml": SCENARIO}, name="de", common=GERMAN)
    assert faults == []
    scenario = pack.scenario("eins")
    good = score_by_signals(
        scenario,
        "Das verstehe ich, und ich will es nicht zerreden. Was ist in dem Preis von heute enthalten, wenn es um die Vertretung geht? "
        "Ich möchte es Ihnen am Dienstag um 10:00 in einem Gespräch zeigen.",
    )
    bad = score_by_signals(
        scenario,
        "Unsere Plattform ist die beste, und ich will die volle Punktzahl von Ihnen für das, was ich Ihnen hier und am Telefon erzähle.",
    )
    assert good.total == 100
    assert bad.total == 0
    assert good.note == "Ohne Modell bewertet."
    assert scenario.language == "de"
