"""`dealquest transcribe`: sound files become text, subtitles or JSON."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import anyio
import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from dealquest.errors import DealQuestError, InputError
from dealquest.transcription import Progress as Step
from dealquest.transcription import Transcriber, Transcript, format_json, format_srt, format_vtt

Format: TypeAlias = Literal["txt", "json", "srt", "vtt"]
_STAGES = {"uploading": "sending", "queued": "queued", "processing": "listening", "done": "done"}


def transcribe(
    *files: Path,
    json: Annotated[bool, Parameter(negative="")] = False,
    srt: Annotated[bool, Parameter(negative="")] = False,
    vtt: Annotated[bool, Parameter(negative="")] = False,
    language: tuple[str, ...] = (),
    speakers: Annotated[bool, Parameter(negative="")] = False,
    into: Path | None = None,
    resume: tuple[str, ...] = (),
    deadline_s: float = 600.0,
) -> None:
    """Turn sound files into text. A file that fails does not stop the others; the exit code is then 1.

    Args:
        files: Ogg, WAV, MP3, M4A, FLAC, WebM and the like.
        json: Everything that was heard, words and times included; one line per file when there are several.
        srt: Subtitles as SubRip.
        vtt: Subtitles as WebVTT.
        language: A language to expect, such as en; give it once to fix it, several times to choose from.
        speakers: Tell speakers apart, where the service can.
        into: A folder; each transcript becomes a file in it instead of going to standard output.
        resume: Go on with a transcript by the id that an earlier run named.
        deadline_s: Seconds per file.
    """
    if json + srt + vtt > 1:
        raise InputError("Choose one of --json, --srt and --vtt.", code="transcription.bad_option")
    chosen: Format = "json" if json else "srt" if srt else "vtt" if vtt else "txt"
    names = [*map(str, files), *resume]
    if not names:
        raise InputError("Name at least one sound file.", code="transcription.bad_option")
    if len(names) > 1 and chosen in {"srt", "vtt"} and into is None:
        raise InputError("Several subtitle files need a folder: --into FOLDER.", code="transcription.bad_option")
    if into is not None and not into.is_dir():
        raise InputError(f"{into} is no folder.", code="transcription.bad_option")
    stems = [Path(name).stem for name in names]
    if into is not None and len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise InputError(f"Two sounds are called {twice}: one transcript would replace the other.", code="transcription.bad_option")
    run = _Run(chosen, into, several=len(names) > 1)
    if not anyio.run(run.all, files, resume, language, speakers, deadline_s):
        sys.exit(1)


def render(transcript: Transcript, chosen: Format) -> str:
    """A transcript as the text of one file."""
    match chosen:
        case "json":
            return format_json(transcript)
        case "srt":
            return format_srt(transcript)
        case "vtt":
            return format_vtt(transcript)
        case _:
            return f"{transcript.text}\n" if transcript.text else ""


class _Run:
    """One invocation: many files, one bar."""

    def __init__(self, chosen: Format, into: Path | None, *, several: bool) -> None:
        self._format = chosen
        self._into = into
        self._several = several
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[stage]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )

    async def all(
        self, files: tuple[Path, ...], ids: tuple[str, ...], languages: tuple[str, ...], speakers: bool, deadline_s: float
    ) -> bool:
        """Whether every file became a transcript."""
        good = True
        with self._bar:
            async with Transcriber.from_env() as speech:
                for file in files:
                    with self._told(str(file)) as told:
                        transcript = await speech.transcribe(
                            file, languages=languages, speaker_labels=speakers, deadline_s=deadline_s, on_progress=told.step
                        )
                        self._put(str(file), transcript)
                    good = good and told.done
                for transcript_id in ids:
                    with self._told(transcript_id) as told:
                        self._put(transcript_id, await speech.resume(transcript_id, deadline_s=deadline_s, on_progress=told.step))
                    good = good and told.done
        return good

    @contextmanager
    def _told(self, name: str) -> Iterator["_Told"]:
        told = _Told(self._bar, self._bar.add_task(Path(name).name, total=None, stage="waiting"))
        try:
            yield told
            told.done = True
        except DealQuestError as exc:
            self._say(f"{name}: {exc.message}")
            self._say_resume(exc.reference)
        except (anyio.get_cancelled_exc_class(), KeyboardInterrupt):
            # What is paid for must not be lost.
            self._say_resume(told.transcript_id)
            raise

    def _put(self, name: str, transcript: Transcript) -> None:
        if transcript.no_speech:
            self._say(f"{name}: nobody speaks in it")
        if self._into is not None:
            path = self._into / f"{Path(name).stem}.{self._format}"
            try:
                path.write_text(render(transcript, self._format), "utf-8")
            except OSError as exc:
                error = InputError(f"Cannot write {path}: {exc.strerror}.", code="transcription.unwritable")
                error.reference = transcript.id  # it is paid for
                raise error from exc
        elif self._several and self._format == "json":
            found = msgspec.json.decode(format_json(transcript))
            print(msgspec.json.encode({"file": name, **found}).decode())
        elif self._several:
            print(f"{name}: {transcript.text}")
        else:
            print(render(transcript, self._format), end="")

    def _say_resume(self, transcript_id: str | None) -> None:
        if transcript_id is not None:
            self._say(f"Go on with it: dealquest transcribe --resume {transcript_id}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


class _Told:
    """Moves the bar of one file, and remembers what is needed to go on with it."""

    def __init__(self, bar: Progress, task: TaskID) -> None:
        self._bar = bar
        self._task = task
        self.done = False
        self.transcript_id: str | None = None

    def step(self, step: Step) -> None:
        """Show a step."""
        self.transcript_id = step.transcript_id
        self._bar.update(self._task, total=step.total_bytes, completed=step.sent_bytes, stage=_STAGES[step.stage])
