"""Who may read money through the API, and of which workload: the same for every endpoint that shows some."""

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core.actor import Actor
from apps.core.errors import NotAllowed, NotFound
from apps.workloads.models import Workload


def require_money(actor: Actor) -> None:
    """Some money to see: by a role, or because one owns a workload."""
    if rights.rights_of(actor).may(Right.SEE_MONEY) or Workload.objects.money_visible_to(actor).exists():
        return
    raise NotAllowed("You may not see cost and usage.", hint=rights.who_can_give(Right.SEE_MONEY))


def workload_named(actor: Actor, slug: str | None) -> Workload | None:
    """The workload if its money may be seen; None where none is asked for."""
    if not slug:
        return None
    found = Workload.objects.money_visible_to(actor).filter(slug=slug).first()
    if found is None:
        raise NotFound("There is no such workload.")
    return found
