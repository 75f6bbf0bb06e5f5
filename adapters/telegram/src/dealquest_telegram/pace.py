"""When the next message may go out: so many a second over all, and one a second per chat after a short burst. No I/O.

Telegram's limits are soft and documented loosely; what it answers (`retry_after`) always wins over these numbers.
Source: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this, read 2026-11-22.
"""

from collections import OrderedDict

PER_SECOND = 25.0
PER_CHAT_SECOND = 1.0
CHAT_BURST = 5
MOST_CHATS = 10_000


class Pace:
    """Keeps both rates; `wait_s` books the place it grants.

    Each rate is a virtual schedule: a message moves the schedule on by one interval, and may go as soon as the schedule
    is not more than its burst ahead of the clock.

    >>> pace = Pace(per_second=10, per_chat_second=1, chat_burst=1)
    >>> pace.wait_s("ann", now=0.0), pace.wait_s("ann", now=0.0), pace.wait_s("bob", now=0.0)
    (0.0, 1.0, 0.0)
    """

    def __init__(self, *, per_second: float = PER_SECOND, per_chat_second: float = PER_CHAT_SECOND, chat_burst: int = CHAT_BURST) -> None:
        self._interval_s = 1 / per_second
        self._chat_interval_s = 1 / per_chat_second
        self._burst_s = 1.0 - self._interval_s
        self._chat_burst_s = (chat_burst - 1) * self._chat_interval_s
        self._next = float("-inf")
        self._chats: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, chat: str, *, now: float) -> float:
        """Book the next place for a chat.

        Args:
            chat: Where the message goes.
            now: Monotonic seconds.

        Returns:
            Seconds to wait before it is sent.
        """
        for_chat = max(self._chats.get(chat, float("-inf")), now)
        self._next = max(self._next, now) + self._interval_s
        self._remember(chat, for_chat + self._chat_interval_s)
        overall = self._next - self._interval_s - self._burst_s
        return max(0.0, for_chat - self._chat_burst_s - now, overall - now)

    def hold(self, chat: str, *, until: float) -> None:
        """Telegram asked to wait: nothing goes to this chat before `until`."""
        self._remember(chat, max(self._chats.get(chat, until), until + self._chat_burst_s))

    def _remember(self, chat: str, moment: float) -> None:
        self._chats[chat] = moment
        self._chats.move_to_end(chat)
        if len(self._chats) > MOST_CHATS:
            self._chats.popitem(last=False)
