"""What every request passes before a route sees it, as plain ASGI applications around each other, outermost first.

`AccessLog` (request id, client address, one line) → `Cors` → `RateLimit` → `BodyLimit` → routes.
"""

from .access_log import AccessLog
from .addresses import client_address
from .body_limit import BodyLimit
from .cors import Cors
from .rate_limit import RateLimit

__all__ = ["AccessLog", "BodyLimit", "Cors", "RateLimit", "client_address"]
