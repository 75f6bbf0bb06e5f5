"""What every request passes before a route sees it, as plain ASGI applications around each other, outermost first.

`AccessLog` (request id, client address, one line) → `HeadCheck` → `Cors` → `RateLimit` → `BodyLimit` → routes.
"""

from .access_log import AccessLog
from .addresses import client_address, counted_as
from .body_limit import BodyLimit
from .cors import Cors
from .head_check import HeadCheck
from .rate_limit import RateLimit

__all__ = ["AccessLog", "BodyLimit", "Cors", "HeadCheck", "RateLimit", "client_address", "counted_as"]
