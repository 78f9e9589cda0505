"""The thresholds of the verdict: those of the ledger's page, unless the organisation says otherwise."""

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from apps.accounts import rights
from apps.accounts.rights import Right
from apps.core import audit, organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.core.models import Organisation
from apps.core.money import plain
from apps.economics.verdict import DEFAULTS, Settings

NAME: Final = "verdict"
COUNTS: Final = ("least_produced", "band_least")
HIGHEST_ROI: Final = Decimal(1000)
MOST: Final = 1_000_000


def thresholds(company: Organisation | None = None) -> Settings:
    said = (company or organisation.get()).settings.get(NAME, {})
    known = asdict(DEFAULTS)
    return Settings(**{name: type(known[name])(value) for name, value in said.items() if name in known})


@transaction.atomic
def set_thresholds(*, actor: Actor, wanted: Settings) -> Settings:
    """Judge by other thresholds: every month that nobody has signed is worked out again."""
    rights.require(actor, Right.MANAGE_SETTINGS)
    _check(wanted)
    company = Organisation.objects.select_for_update().get()
    before = thresholds(company)
    if before == wanted:
        return before
    company.settings[NAME] = _told(wanted)
    company.save(update_fields=("settings",))
    audit.record(
        actor=actor,
        verb="changed verdict thresholds",
        subject=company,
        data={"before": _told(before), "after": _told(wanted)},
    )
    with connection.cursor() as cursor:
        cursor.execute(_MARK)
    return wanted


def _check(wanted: Settings) -> None:
    for name, value in asdict(wanted).items():
        if name in COUNTS:
            if not 1 <= value <= MOST:
                raise BadInput(f"The least number lies between 1 and {MOST:,}.")
            continue
        most = HIGHEST_ROI if name == "scale_roi" else Decimal(1)
        if not value.is_finite() or not 0 <= value <= most:
            limit = f"0 and {HIGHEST_ROI:,}" if name == "scale_roi" else "0% and 100%"
            raise BadInput(f"A threshold lies between {limit}.")


def _told(settings: Settings) -> Mapping[str, Any]:
    return {name: plain(value) if isinstance(value, Decimal) else value for name, value in asdict(settings).items()}


_MARK = """
INSERT INTO economics_dirty (workload_id, month, reason, recorded_at)
SELECT workload_id, month, 'thresholds', now() FROM economics_month WHERE is_current AND state = 'provisional'
"""
