r"""An incremental decoder of server-sent events: bytes in, whole events out, in any chunking.

Rules: a line ends at CR, LF or CRLF and nowhere else (U+2028 and U+0085 are ordinary characters
inside JSON, which is why `str.splitlines` must never see a stream); an empty line ends an event;
a line that begins with a colon is a comment; bytes stay bytes, so a split UTF-8 character is whole
again before anybody decodes it; an event that was not ended by an empty line is not an event.
Source: WHATWG HTML, section 9.2 "Server-sent events", read 2026-11-22.
"""

import attrs

from dealquest.errors import LimitError

_BOM = b"\xef\xbb\xbf"


@attrs.frozen(kw_only=True)
class SseEvent:
    """One event.

    Attributes:
        event: Its type; `message` when the peer named none.
        data: Its data lines, joined by LF, as UTF-8 bytes.
        id: The last id seen on the stream.
    """

    data: bytes
    event: str = "message"
    id: str = ""


class SseDecoder:
    r"""Feed it chunks as they arrive; each call returns the events that became whole.

    Args:
        max_event_bytes: Largest event that is held in memory.

    >>> decoder = SseDecoder()
    >>> decoder.feed(b": keep-alive\n\ndata: {\"a\""), decoder.feed(b": 1}\r\n\r\n")[0].data
    ([], b'{"a": 1}')
    """

    def __init__(self, *, max_event_bytes: int = 4 * 1024 * 1024) -> None:
        self._max_event_bytes = max_event_bytes
        self._pieces: list[bytes] = []
        self._held = 0
        self._skip_lf = False
        self._begun = False
        self._data: list[bytes] = []
        self._event = ""
        self._id = ""

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next chunk, of any size.

        Raises:
            LimitError: `wire.sse_too_large` when one event exceeds `max_event_bytes`.
        """
        if self._skip_lf and chunk:
            self._skip_lf = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._skip_lf = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        if (
            self._begun
            and not self._pieces
            and not self._data
            and chunk.count(b"\n") == 2
            and chunk[:6] == b"data: "
            and chunk[-2:] == b"\n\n"
        ):
            return [self._whole(chunk[6:-2])]
        self._pieces.append(chunk)
        lines = b"".join(self._pieces).split(b"\n")
        rest = lines.pop()
        self._pieces = []
        self._held = sum(map(len, self._data))
        if not self._begun:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        events: list[SseEvent] = []
        for line in lines:
            if line:
                self._take(line)
            else:
                self._dispatch(events)
        self._hold(rest)
        return events

    def _whole(self, data: bytes) -> SseEvent:
        # Most chunks of a model's answer are exactly one event of one line.
        self._count(len(data))
        self._held = 0
        event, self._event = self._event or "message", ""
        return SseEvent(data=data, event=event, id=self._id)

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._count(len(piece))

    def _count(self, size: int) -> None:
        self._held += size
        if self._held > self._max_event_bytes:
            raise LimitError(f"One streamed event is larger than {self._max_event_bytes} bytes.", code="wire.sse_too_large")

    def _take(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._count(len(value))
            self._data.append(value)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"data":
            self._data.append(value)

    def _dispatch(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append(SseEvent(data=b"\n".join(self._data), event=self._event or "message", id=self._id))
            self._data = []
            self._held = 0
        self._event = ""
