"""The clock of the ledger's proof: every night, what no foreign key guards and what the roll-ups must sum to."""

import logging

from apps.reviews import proof
from workers.app import app

log = logging.getLogger(__name__)


@app.task
def prove() -> None:
    """Say in the log what is broken; `manage.py check_ledger` says the same and ends with 1."""
    for broken in proof.prove():
        log.error("the ledger does not hold: %s", broken)
