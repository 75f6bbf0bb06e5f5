"""Speech → text: a voice message becomes text, or a clear reason why not.

Two transcribers behind one role: AssemblyAI and any server with OpenAI's `/audio/transcriptions`. It
decodes no sound and fetches no address. Each name is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assemblyai import AssemblyAITranscriber
    from .job import PollPlan
    from .order import WEBHOOK_HEADER, Webhook
    from .sound import SoundLimits
    from .source import AudioSource
    from .subtitles import Cue, format_json, format_srt, format_vtt, split_cues
    from .transcriber import Transcriber
    from .transcript import OnProgress, Progress, Stage, Transcript, Word
    from .webhook import WebhookNotice, verify_webhook
    from .whisper import WhisperTranscriber

__all__ = [
    "WEBHOOK_HEADER",
    "AssemblyAITranscriber",
    "AudioSource",
    "Cue",
    "OnProgress",
    "PollPlan",
    "Progress",
    "SoundLimits",
    "Stage",
    "Transcriber",
    "Transcript",
    "Webhook",
    "WebhookNotice",
    "WhisperTranscriber",
    "Word",
    "format_json",
    "format_srt",
    "format_vtt",
    "split_cues",
    "verify_webhook",
]

_HOMES = {
    "assemblyai": ("AssemblyAITranscriber",),
    "job": ("PollPlan",),
    "order": (
        "WEBHOOK_HEADER",
        "Webhook",
    ),
    "sound": ("SoundLimits",),
    "source": ("AudioSource",),
    "subtitles": (
        "Cue",
        "format_json",
        "format_srt",
        "format_vtt",
        "split_cues",
    ),
    "transcriber": ("Transcriber",),
    "transcript": (
        "OnProgress",
        "Progress",
        "Stage",
        "Transcript",
        "Word",
    ),
    "webhook": (
        "WebhookNotice",
        "verify_webhook",
    ),
    "whisper": ("WhisperTranscriber",),
}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
