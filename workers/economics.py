"""The clock of worth: months whose cost, outcomes or value case changed are worked out again."""

from apps.economics import services as economics
from workers.app import app


@app.task
def sweep() -> None:
    """Take every month that waits, whoever rang for it or not."""
    economics.recompute_dirty()


@app.task
def notice_sources() -> None:
    """Look whether a source has fallen silent, or speaks again; the sweep takes the months that this queues."""
    economics.notice_sources()
