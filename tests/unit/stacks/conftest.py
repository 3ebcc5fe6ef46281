"""
Let the tests import the services' package from the image's build context.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "stacks" / "geo-diff" / "images" / "geo-diff"))
