"""The clock of the price list: a newer list comes with a newer installation and is taken over the next night."""

from apps.catalog import services as catalog
from apps.core.actor import Actor
from workers.app import app


@app.task
def refresh() -> None:
    catalog.refresh_public_prices(actor=Actor(person_id=None, label="price list", channel="task"))
