"""The number of database queries of each page, on record in query_counts.json.

A page that asks more than it did fails; `UPDATE_QUERY_COUNTS=1 pytest tests/web/test_query_counts.py` writes the new
numbers, and the change of the file shows in the commit what a page came to cost.
"""

import json
import os
from pathlib import Path

BASELINE = Path(__file__).with_name("query_counts.json")
UPDATE = os.environ.get("UPDATE_QUERY_COUNTS") == "1"


def check(page: str, count: int) -> None:
    """Compare with the record, or put it there when asked to."""
    known = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if UPDATE:
        BASELINE.write_text(json.dumps({**known, page: count}, indent=2, sort_keys=True) + "\n")
    else:
        assert page in known, f"{page} is not on record: run with UPDATE_QUERY_COUNTS=1."
        assert count == known[page], f"{page} asks {count} queries, on record are {known[page]}."
