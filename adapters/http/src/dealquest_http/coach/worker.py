"""Finishes what nobody waits for: jobs, and events whose process died. Runs beside the server, once in each process."""

import logging

import anyio

from dealquest.compose import Kit
from dealquest.errors import DealQuestError

from .conversation import SOURCE, Conversations

LOG = logging.getLogger("dealquest.http.coach")
PAUSE_S = 2.0
EVENTS_EVERY = 5
SWEEP_EVERY = 900
"""In rounds of a pause each."""


async def keep_working(kit: Kit, *, pause_s: float = PAUSE_S) -> None:
    """Work until cancelled."""
    conversations = Conversations(kit)
    rounds = 0
    while True:
        try:
            if rounds % SWEEP_EVERY == 0:
                await conversations.turns.sweep()
                await conversations.uploads.sweep(now_s=kit.clock.now().timestamp())
            # Jobs at once; an event only now and then, because the request that brought it is most likely at work on it.
            done = await conversations.turns.work(SOURCE, only_jobs=rounds % EVENTS_EVERY != 0)
        except DealQuestError as exc:
            LOG.warning("A turn could not be finished and is tried again (%s).", exc.code)
            done = None
        except Exception:  # a defect in one turn must not end the others; the event is set aside after some tries
            LOG.exception("A turn failed on a defect of ours.")
            done = None
        rounds += 1
        if done is None:
            await anyio.sleep(pause_s)
        else:
            await conversations.uploads.drop(done.event.media)
