"""The synthetic studies of the golden tests, for the unit tests of judging too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))
