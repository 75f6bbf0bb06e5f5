"""Speech → text: a voice message becomes text, or a clear reason why not.

Two transcribers behind one role: AssemblyAI and any server with OpenAI's `/audio/transcriptions`. It
decodes no sound and fetches no address.
"""

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
