"""What the caller asks for: languages, speakers, a callback. Checked before anything is sent.

Source: AssemblyAI "Automatic Language Detection" and "Webhooks" pages, read 2026-11-22.
"""

import math
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import attrs

from dealquest.errors import InputError
from dealquest.values import Secret

WEBHOOK_HEADER = "x-dealquest-webhook"

_LANGUAGE = re.compile(r"[a-z]{2,3}(_[a-z]{2,4})?")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]{16,500}")


@attrs.frozen(kw_only=True)
class Webhook:
    """Where the peer tells that a job is done, and the secret by which its call is known.

    Attributes:
        url: An address of ours that the peer can reach; from the operator, never from a user.
        secret: 16 to 500 visible ASCII characters; comes back in `header`.
        header: Lower-case name of the header that carries the secret.
    """

    url: str
    secret: Secret
    header: str = WEBHOOK_HEADER

    def __attrs_post_init__(self) -> None:
        if not _is_http_address(self.url):
            raise InputError("The webhook's address is no http(s) address.", code="transcription.bad_option")
        if _HEADER_NAME.fullmatch(self.header) is None:
            raise InputError("The webhook's header is no lower-case header name.", code="transcription.bad_option")
        if _HEADER_VALUE.fullmatch(self.secret.reveal()) is None:
            raise InputError("The webhook's secret must be 16 to 500 visible ASCII characters.", code="transcription.bad_option")


@attrs.frozen(kw_only=True)
class SpeechOrder:
    """One checked request for a transcript.

    Attributes:
        languages: Codes such as `en`; none lets the peer find out, one fixes it, several are the ones to expect.
        fallback_language: Used when detection finds none of the expected ones; the first of them when left out.
        speaker_labels: Whether words say who spoke.
        speakers_expected: How many speakers, when known.
        webhook: Where to tell that the job is done.
    """

    languages: tuple[str, ...] = ()
    fallback_language: str | None = None
    speaker_labels: bool = False
    speakers_expected: int | None = None
    webhook: Webhook | None = None


def check_order(
    *,
    languages: Sequence[str] = (),
    fallback_language: str | None = None,
    speaker_labels: bool = False,
    speakers_expected: int | None = None,
    webhook: Webhook | None = None,
) -> SpeechOrder:
    """Check and normalise what the caller asks for.

    Raises:
        InputError: `transcription.bad_option` names the one that is wrong.

    >>> check_order(languages=("en-US", "ru", "ru")).languages
    ('en_us', 'ru')
    """
    if isinstance(languages, str):
        raise InputError('Languages are a list of codes, such as ("en", "ru").', code="transcription.bad_option")
    if speakers_expected is not None and not (speaker_labels and 1 <= speakers_expected <= 50):
        raise InputError("speakers_expected is 1 to 50 and needs speaker_labels=True.", code="transcription.bad_option")
    known = tuple(dict.fromkeys(check_language(code) for code in languages))
    if len(known) > 100:
        raise InputError("At most 100 languages can be expected.", code="transcription.bad_option")
    fallback = None if fallback_language is None else check_language(fallback_language)
    if fallback is not None and known and fallback not in known:
        raise InputError("The fallback language must be one of the expected languages.", code="transcription.bad_option")
    return SpeechOrder(
        languages=known,
        fallback_language=fallback,
        speaker_labels=speaker_labels,
        speakers_expected=speakers_expected,
        webhook=webhook,
    )


def _is_http_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # an unclosed bracket, a port that is none
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0 and url.isprintable() and " " not in url


def check_language(code: str) -> str:
    """Bring a language code into the peer's form, or refuse with `transcription.bad_option`.

    >>> check_language("en-GB")
    'en_gb'
    """
    known = code.strip().lower().replace("-", "_")
    if _LANGUAGE.fullmatch(known) is None:
        raise InputError(f"{code[:20]!r} is no language code, such as en, ru or en_us.", code="transcription.bad_option")
    return known


def check_deadline(deadline_s: float) -> float:
    """Refuse a deadline that is no positive number of seconds, with `transcription.bad_option`."""
    if not (math.isfinite(deadline_s) and deadline_s > 0):
        raise InputError("deadline_s is a number of seconds above zero.", code="transcription.bad_option")
    return deadline_s
