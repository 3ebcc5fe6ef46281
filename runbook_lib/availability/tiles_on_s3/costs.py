"""
What tiles on S3 cost in money: storage, and requests, of which listings are what adds up.

List prices of S3 Standard in us-east-1, which other regions differ from by up to a half:
https://aws.amazon.com/s3/pricing/ . Nothing is charged for what instances of the region transfer.
"""

import pandas as pd

from runbook_lib.cloud.tiles_bucket import Content

USD_PER_GIB_MONTH = 0.023
USD_PER_WRITE = 0.005 / 1000  # PUT, COPY, LIST
USD_PER_READ = 0.0004 / 1000


def s3_cost_table(content: Content, listing_s: int) -> pd.DataFrame:
    """
    Columns: what, how_often, usd.

    A result is a PUT under another name and a COPY (the updater's rename); the removal is free. A
    dealer that has nothing to do walks the whole tree, so each folder is listed once in
    `listing_s`.
    """
    walks = 3600 / listing_s
    rows = [
        ("storage", "a month", content.mib / 1024 * USD_PER_GIB_MONTH),
        ("moving the tiles here", "once", content.objects * USD_PER_WRITE),
        ("1,000 results written", "each time", 1000 * 2 * USD_PER_WRITE),
        ("1,000 tiles shown", "each time", 1000 * USD_PER_READ),
        (
            "the folders listed while a dealer idles",
            "an hour",
            content.folders * walks * USD_PER_WRITE,
        ),
    ]
    return pd.DataFrame(rows, columns=["what", "how_often", "usd"]).round({"usd": 4})
