"""The role: whoever turns speech into text. Implementations need not know this file; `from_env` picks one."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from dealquest.errors import SettingsError

from .defaults import DEADLINE_S, ignore_progress

if TYPE_CHECKING:
    from dealquest.settings import Settings

    from .source import AudioSource
    from .transcript import OnProgress, Transcript


class Transcriber(Protocol):
    """Turns speech into text. Use it as an async context manager; one serves many calls at once.

    `AssemblyAITranscriber` and `WhisperTranscriber` are two. A third may subclass this one and so inherit `from_env`.
    """

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Transcriber":
        """The transcriber that the environment asks for.

        A server of your own (WHISPER_BASE_URL) goes before AssemblyAI (ASSEMBLYAI_API_KEY): sound that can stay at home does.

        Args:
            environ: Name to text; the process's own environment when left out.

        Raises:
            SettingsError: `transcription.not_configured` when it names neither; `settings.invalid`.
        """
        from dealquest.settings import load_settings  # noqa: PLC0415  # whoever brings a transcriber of their own reads no environment

        return Transcriber.from_settings(load_settings(environ))

    @classmethod
    def from_settings(cls, settings: "Settings") -> "Transcriber":
        """The same for settings that were read already; raises as `from_env`."""
        if settings.whisper_base_url is not None:
            from .whisper import WhisperTranscriber  # noqa: PLC0415  # only the one that is used is loaded

            return WhisperTranscriber.from_settings(settings)
        if settings.assemblyai_api_key is not None:
            from .assemblyai import AssemblyAITranscriber  # noqa: PLC0415  # see above

            return AssemblyAITranscriber.from_settings(settings)
        raise SettingsError(
            "Speech to text is off: set ASSEMBLYAI_API_KEY, or WHISPER_BASE_URL for a server of your own.",
            code="transcription.not_configured",
        )

    async def __aenter__(self) -> Self:
        """Ready to be used."""
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closed."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...

    async def transcribe(
        self,
        source: "AudioSource",
        *,
        languages: Sequence[str] = (),
        fallback_language: str | None = None,
        speaker_labels: bool = False,
        speakers_expected: int | None = None,
        duration_s: float | None = None,
        deadline_s: float = DEADLINE_S,
        on_progress: "OnProgress" = ignore_progress,
    ) -> "Transcript":
        """Turn a sound into text; silence is a result with `no_speech`.

        Args:
            source: A path, the bytes, chunks, or a function that opens the chunks.
            languages: Codes to expect; one fixes the language.
            fallback_language: Used when detection finds none of the expected.
            speaker_labels: Whether words say who spoke.
            speakers_expected: How many speakers, when known.
            duration_s: Length in seconds, when known; checked against the limits.
            deadline_s: Seconds for everything.
            on_progress: Told of every step.

        Raises:
            InputError: The sound or an option was refused.
            LimitError: The deadline ended.
            PeerError: The peer refused, failed or could not be reached.
        """
        ...

    async def resume(
        self, transcript_id: str, *, deadline_s: float = DEADLINE_S, on_progress: "OnProgress" = ignore_progress
    ) -> "Transcript":
        """Go on with a job by its id.

        Raises:
            NotFoundError: `transcription.unknown_id`; always, where the peer keeps no jobs.
        """
        ...
