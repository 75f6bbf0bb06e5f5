"""What the tests of this room share; the oracle and its corpus are plain modules beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
