"""A run's rows for other tools: plain rows, pandas, CSV, Parquet, JUnit XML."""

import csv
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dealquest.errors import InputError

if TYPE_CHECKING:
    from .findings import Findings

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows_of(run: "Findings") -> list[dict[str, Any]]:
    """One flat row for each answer and scorer; a failed answer has a row as well, and no points."""
    ledger = run.ledger
    rows = []
    for key, answer in ledger.answers.items():
        case = ledger.cases.get(answer.case)
        known = [call.cost_usd for call in answer.calls if call.cost_usd is not None]
        facts: dict[str, Any] = {
            "case": answer.case,
            "cluster": run.cluster_of(answer.case),
            "subject": answer.subject,
            "repeat": answer.repeat,
            "answer": answer.text,
            "elapsed_s": answer.elapsed_s,
            "wait_s": answer.wait_s,
            "cost_usd": float(sum(known)) if len(known) == len(answer.calls) else None,
            "input_tokens": sum(call.input_tokens for call in answer.calls),
            "output_tokens": sum(call.output_tokens for call in answer.calls),
            "served": next((call.served for call in answer.calls if call.served), None),
            "failure": answer.failure.code if answer.failure is not None else None,
            **{f"tag_{name}": value for name, value in (case.tags.items() if case is not None else ())},
        }
        labels = [label.points for (labelled, _), label in ledger.labels.items() if labelled == key]
        facts["label"] = sum(labels) / len(labels) if labels else None
        for scorer in run.scorers:
            score = ledger.scores.get((key, scorer))
            failure = score.failure.code if score is not None and score.failure is not None else None
            rows.append(facts | {"scorer": scorer, "points": score.points if score is not None else None, "scorer_failure": failure})
    return rows


def to_pandas(run: "Findings") -> Any:
    """The rows as a data frame.

    Raises:
        InputError: `evals.extra.missing` without pandas.
    """
    try:
        import pandas as pd  # noqa: PLC0415  # an extra
    except ModuleNotFoundError as exc:
        raise missing_extra("pandas") from exc
    return pd.DataFrame(rows_of(run))


def write_csv(run: "Findings", path: Path) -> Path:
    """Write CSV in UTF-8; a text that a spreadsheet would take for a formula gets a quote in front."""
    rows = rows_of(run)
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _defuse(value) for name, value in row.items()})
    return path


def write_parquet(run: "Findings", path: Path) -> Path:
    """Write Parquet.

    Raises:
        InputError: `evals.extra.missing` without pyarrow.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415  # an extra
        from pyarrow import parquet  # noqa: PLC0415  # as above
    except ModuleNotFoundError as exc:
        raise missing_extra("pyarrow") from exc
    rows = rows_of(run)
    names = list(dict.fromkeys(name for row in rows for name in row))
    # Tags may mix kinds, and a column holds one: texts then.
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name, values in columns.items():
        if len({type(value) for value in values if value is not None} - {int, float}) > 0 and name.startswith("tag_"):
            columns[name] = [None if value is None else str(value) for value in values]
    parquet.write_table(pa.table(columns), path)
    return path


def write_junit(run: "Findings", path: Path, *, min_score: float | None, scorer: str) -> Path:
    """Write JUnit XML: one test for each case and subject, failed below `min_score`, in error without points."""
    ledger = run.ledger
    suite = ET.Element("testsuite", name=_xml(run.manifest.name))
    counts = {"tests": 0, "failures": 0, "errors": 0}
    for key, answer in ledger.answers.items():
        name = f"{answer.case} [{answer.repeat}]" if run.manifest.repeats > 1 else answer.case
        test = ET.SubElement(suite, "testcase", classname=_xml(answer.subject), name=_xml(name), time=f"{answer.elapsed_s:.3f}")
        counts["tests"] += 1
        score = ledger.scores.get((key, scorer))
        failure = answer.failure or (score.failure if score is not None else None)
        if failure is not None or score is None or score.points is None:
            counts["errors"] += 1
            why = failure.message if failure is not None else "no score yet"
            ET.SubElement(test, "error", type=failure.code if failure is not None else "evals.run.cut_off", message=_xml(why))
        elif min_score is not None and score.points < min_score:
            counts["failures"] += 1
            message = f"{score.points:g} points by {scorer}, {min_score:g} are wanted"
            ET.SubElement(test, "failure", message=_xml(message)).text = _xml(answer.text)
    suite.attrib.update({name: str(count) for name, count in counts.items()})
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
    return path


def missing_extra(package: str) -> InputError:
    """The error for a library of an extra that is not there."""
    return InputError(f"this needs {package}: pip install 'dealquest[evals]'", code="evals.extra.missing")


def _defuse(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _xml(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(
        letter
        for letter in text
        if letter in "\t\n\r" or (letter >= " " and letter not in "\ufffe\uffff" and not "\ud800" <= letter <= "\udfff")
    )
