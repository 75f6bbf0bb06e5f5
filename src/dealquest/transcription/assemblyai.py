"""`AssemblyAITranscriber`: drives a `TranscriptionJob` over a transport. The edge; all knowledge is in `job` and `assemblyai_wire`."""

import math
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import anyio
import attrs

from dealquest.errors import DealQuestError, InputError, SettingsError
from dealquest.settings import ASSEMBLYAI_BASE_URL, load_settings
from dealquest.values import Clock, Secret, SystemClock
from dealquest.wire import RetryPolicy, Transport

from .assemblyai_wire import DEAREST_USD_PER_HOUR, SPEECH_MODELS, AssemblyAIWire, check_transcript_id
from .job import Call, Finished, Pause, PollPlan, TranscriptionJob
from .order import SpeechOrder, Webhook, check_order
from .sound import SoundLimits
from .source import AudioSource, Sound, open_sound
from .transcript import OnProgress, Progress, Transcript, ignore_progress

DEADLINE_S = 60.0


class AssemblyAITranscriber:
    """A `Transcriber` over AssemblyAI.

    Args:
        key: The account's key.
        base_url: Where the API is; from the operator.
        transport: What carries requests; an own `HttpxTransport`, closed with this object, when left out.
        limits: What sounds are accepted.
        speech_models: In order of preference.
        retry: How often upload and create are tried.
        polls: When a job is looked at.
        clock: Where time comes from.
        rng: Where jitter comes from.
    """

    def __init__(
        self,
        key: Secret,
        *,
        base_url: str = ASSEMBLYAI_BASE_URL,
        transport: Transport | None = None,
        limits: SoundLimits | None = None,
        speech_models: Sequence[str] = SPEECH_MODELS,
        retry: RetryPolicy | None = None,
        polls: PollPlan | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        if not speech_models:
            raise InputError("At least one speech model is needed: the API has no default.", code="transcription.bad_option")
        self._wire = AssemblyAIWire(base_url=base_url.rstrip("/"), key=key, speech_models=tuple(speech_models))
        self._own = open_transport() if transport is None else None
        self._transport = transport or self._own
        self._limits = limits or SoundLimits()
        self._retry = retry
        self._polls = polls
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read ASSEMBLYAI_API_KEY and ASSEMBLYAI_BASE_URL.

        Raises:
            SettingsError: `transcription.not_configured` when there is no key; `settings.invalid`.
        """
        settings = load_settings(environ)
        if settings.assemblyai_api_key is None:
            raise SettingsError("Speech to text is off: set ASSEMBLYAI_API_KEY.", code="transcription.not_configured")
        return cls(settings.assemblyai_api_key, base_url=settings.assemblyai_base_url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the own transport; one that was handed in stays open."""
        if self._own is not None:
            await self._own.aclose()
