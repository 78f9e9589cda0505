"""The clock of the imports: read what was asked for, price days that changed, tidy up."""

from apps.costs import imports
from apps.costs import services as costs
from workers.app import app


@app.task
def read(pull_id: int) -> None:
    """The bell: a pull was asked for. Ringing twice, or for one that is done, does nothing."""
    imports.run(pull_id)


@app.task
def sweep() -> None:
    imports.sweep()


@app.task
def rate() -> None:
    """Work out the costs of days that changed: prices, exchange rates, bindings, and whatever was left over."""
    costs.sweep_rate_changes()
    costs.rate_dirty()


@app.task
def tidy() -> None:
    imports.tidy()
