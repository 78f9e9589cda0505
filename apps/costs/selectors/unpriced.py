"""What waits for a price: tokens whose cost is unknown."""

from django.db import connection

from apps.core.actor import Actor
from apps.costs.selectors.scope import CostScope, rows_of

_UNPRICED = """
SELECT offering_id, sum(unpriced_tokens)::bigint FROM costs_month
WHERE unpriced_tokens <> 0 AND offering_id IS NOT NULL GROUP BY offering_id HAVING sum(unpriced_tokens) > 0
"""


def unpriced_tokens() -> dict[int, int]:
    """Tokens without a price by offering, over all months; one query on the monthly sums."""
    with connection.cursor() as cursor:
        cursor.execute(_UNPRICED)
        return dict(cursor.fetchall())


def unpriced_of(*, actor: Actor, scope: CostScope) -> tuple[int, int]:
    """How many models of the scope have usage without a price, and how many tokens that is."""
    rows = rows_of(actor, scope)
    statement = f"""
        SELECT count(*), coalesce(sum(tokens), 0) FROM (
            SELECT sum(x.unpriced_tokens) AS tokens FROM ({rows.text}) x
            GROUP BY x.offering_id HAVING sum(x.unpriced_tokens) > 0
        ) u
    """
    with connection.cursor() as cursor:
        cursor.execute(statement, rows.values)
        models, tokens = cursor.fetchone()
    return int(models), int(tokens)
