"""Caps and rhythms of the collector."""

import attrs


@attrs.frozen(kw_only=True)
class Limits:
    """What the collector may hold.

    Attributes:
        queued_records: Finished spans that wait for the worker.
        queued_bytes: The same in bytes; also the cap on lines held in memory.
        spool_bytes: Everything in the spool of this process, adopted segments included.
        spool_age_s: Oldest segment that is kept.
        block_s: Longest wait of traced code under `overflow="block"`.
        tick_s: Rhythm of the worker: under `durability="tick"` the most that a kill -9 can lose.
        export_interval_s: Longest wait of a record for company before it is sent.
    """

    queued_records: int = 10_000
    queued_bytes: int = 16 * 1024 * 1024
    spool_bytes: int = 256 * 1024 * 1024
    spool_age_s: float = 7 * 24 * 3600.0
    block_s: float = 1.0
    tick_s: float = 0.02
    export_interval_s: float = 0.5
