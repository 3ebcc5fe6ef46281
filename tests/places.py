"""
Where the tests find what they read.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data"
LOGS = DATA / "geo-diff-logs"
IMAGES = ROOT / "stacks" / "geo-diff" / "images"
NOTICE_BOARD = ROOT / "stacks" / "notice-board"
