"""Shares above which something is said of the cost, or a month is not signed: settings of the organisation."""

from decimal import Decimal
from typing import Final

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.models import Organisation

UNALLOCATED: Final = "unallocated_limit"
UNALLOCATED_AT_FIRST: Final = Decimal("0.03")
BILL_TOLERANCE: Final = Decimal("0.02")


def unallocated_limit(company: Organisation | None = None) -> Decimal:
    """The share of the full cost that may be nobody's, 0 to 1; 3 % unless somebody chose another."""
    stated = (company or organisation.get()).settings.get(UNALLOCATED)
    return Decimal(str(stated)) if stated is not None else UNALLOCATED_AT_FIRST


def bill_tolerance(company: Organisation | None = None) -> Decimal:
    """The share of a bill by which it may differ from what was computed; 2 % unless somebody chose another."""
    return Decimal(str((company or organisation.get()).settings.get("bill_tolerance", BILL_TOLERANCE)))


def set_unallocated_limit(*, actor: Actor, share: Decimal) -> None:
    """Choose another limit; home, the workbench and the cost pages measure by it at once."""
    rights.require(actor, Right.MANAGE_SETTINGS)
    if not share.is_finite() or not 0 <= share <= 1:
        raise BadInput("That is no share of the full cost.", hint="A limit lies between 0 % and 100 %.")
    organisation.set_setting(actor=actor, name=UNALLOCATED, value=f"{share.normalize():f}")
