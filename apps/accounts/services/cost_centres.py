"""The tree of cost centres. Paths are rewritten here and nowhere else."""

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Substr

from apps.accounts import rights
from apps.accounts.models import CostCentre
from apps.accounts.rights import Right
from apps.accounts.services.people import clean_name
from apps.accounts.services.roles import is_founding
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed

TREE_LOCK = 7_301_011


@transaction.atomic
def make_cost_centre(*, actor: Actor, code: str, name: str, parent: CostCentre | None = None) -> CostCentre:
    rights.require(actor, Right.MANAGE_PEOPLE)
    _lock_tree()
    code, name = _clean_code(code), clean_name(name)
    if CostCentre.objects.filter(code__iexact=code).exists():
        raise Conflict(f"The cost centre {code} exists already.")
    centre = CostCentre.objects.create(code=code, name=name, parent=_active(parent))
    centre.path = _path_below(centre.parent, centre)
    centre.save(update_fields=["path"])
    audit.record(actor=actor, verb="made cost centre", subject=centre, data={"code": code, "parent": centre.parent_id})
    return centre


@transaction.atomic
def move_cost_centre(
    *, actor: Actor, centre: CostCentre, parent: CostCentre | None, decision_id: int | None = None
) -> CostCentre:
    """Hang a cost centre and everything below it somewhere else; roles reach along the new tree at once.

    `decision_id` is the decision by which another administrator confirmed it; see `is_founding` for when none is
    needed.
    """
    rights.require(actor, Right.MANAGE_PEOPLE)
    _lock_tree()
    centre = CostCentre.objects.get(pk=centre.pk)
    parent = _active(parent)
    if parent and parent.path.startswith(centre.path):
        raise BadInput(f"{parent.name} lies below {centre.name}; the tree would become a circle.")
    if decision_id is None and not is_founding():
        raise NotAllowed(
            "A cost centre is moved by one administrator and confirmed by another.", hint="Propose it on its page."
        )
    before, old, new = centre.parent_id, centre.path, _path_below(parent, centre)
    centre.parent = parent
    centre.save(update_fields=["parent"])
    rest = Substr(F("path"), len(old) + 1)
    CostCentre.objects.filter(path__startswith=old).update(path=Concat(Value(new), rest))
    centre.refresh_from_db()
    rights.forget()
    audit.record(
        actor=actor,
        verb="moved cost centre",
        subject=centre,
        data={"from": before, "to": parent.pk if parent else None, "decision": decision_id},
    )
    return centre


@transaction.atomic
def rename_cost_centre(*, actor: Actor, centre: CostCentre, code: str, name: str) -> CostCentre:
    rights.require(actor, Right.MANAGE_PEOPLE)
    centre = CostCentre.objects.select_for_update().get(pk=centre.pk)
    before = {"code": centre.code, "name": centre.name}
    centre.code, centre.name = _clean_code(code), clean_name(name)
    if CostCentre.objects.filter(code__iexact=centre.code).exclude(pk=centre.pk).exists():
        raise Conflict(f"The cost centre {centre.code} exists already.")
    centre.save(update_fields=["code", "name"])
    after = {"code": centre.code, "name": centre.name}
    audit.record(actor=actor, verb="renamed cost centre", subject=centre, data={"before": before, "after": after})
    return centre


@transaction.atomic
def change_cost_centre_activity(*, actor: Actor, centre: CostCentre, active: bool) -> CostCentre:
    """Close a cost centre to new workloads and roles, or open it again; what it holds stays."""
    rights.require(actor, Right.MANAGE_PEOPLE)
    centre = CostCentre.objects.select_for_update().get(pk=centre.pk)
    centre.active = active
    centre.save(update_fields=["active"])
    audit.record(actor=actor, verb="opened cost centre" if active else "closed cost centre", subject=centre)
    return centre


def _lock_tree() -> None:
    """Two moves at once could hang each below the other; the tree changes rarely, so they take turns."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TREE_LOCK])


def _active(parent: CostCentre | None) -> CostCentre | None:
    if parent is None:
        return None
    parent = CostCentre.objects.get(pk=parent.pk)
    if not parent.active:
        raise Conflict(f"The cost centre {parent.name} is closed.")
    return parent


def _path_below(parent: CostCentre | None, centre: CostCentre) -> str:
    path = f"{parent.path if parent else '/'}{centre.pk}/"
    if len(path) > 380:
        raise BadInput("The tree of cost centres would become too deep.")
    return path


def _clean_code(code: str) -> str:
    code = code.strip()
    if not code or len(code) > 40 or not code.isprintable():
        raise BadInput("A cost centre has a code of 1 to 40 characters.")
    return code
