"""What a pack holds: every figure and decision of a month, persons as keys, money as text to the last digit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from apps.approvals.models import Decision
from apps.core import organisation
from apps.reviews import packs
from apps.reviews.models import Action, Cycle, Disposition, Figure, Item, Measurement

FIGURES = (
    *("cost", "value", "review_cost", "net_low", "net", "net_high"),
    *("produced", "useful", "is_declared", "verdict"),
)


def pack_contents(
    cycle: Cycle,
    *,
    revision: int,
    signed_by: int | None,
    signed_at: datetime,
    head: dict[str, Any],
    acted_for: Sequence[int] = (),
) -> dict[str, Any]:
    """The pack as plain data; `packs.canonical` makes the bytes of it. A draft is signed by nobody.

    `acted_for` is whose role it was signed by; the key is there only where it was not the signer's own.
    """
    company = organisation.get()
    return {
        "format": packs.FORMAT,
        "organisation": company.name,
        "currency": company.currency,
        "zone": company.zone,
        "month": cycle.month,
        "revision": revision,
        "signed_by": signed_by,
        "signed_at": signed_at,
        "audit_head": head,
        "totals": totals(cycle),
        "workloads": _workloads(cycle),
        "items": _items(cycle),
        "promises": _promises(cycle),
        "attestations": list(cycle.attestations.order_by("id").values("workload", "person", "digest", "at")),
        "attendance": list(cycle.attendances.order_by("id").values_list("person", flat=True)),
        "waivers": _waivers(cycle),
        **({"acted_for": list(acted_for)} if acted_for else {}),
    }


def totals(cycle: Cycle) -> dict[str, Any]:
    """Sums by the books, in the database: workloads + unallocated = full cost of the month as it is known now.

    They hold what could be priced and converted; `unpriced` and `unconverted` count the lines that could not.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, [cycle.month])
        allocated, unallocated, signed, unpriced, unconverted = cursor.fetchone()
    return {
        "workloads": allocated,
        "unallocated": unallocated,
        "cost": allocated + unallocated,
        "signed": signed,
        "unpriced": int(unpriced),
        "unconverted": int(unconverted),
    }


def _workloads(cycle: Cycle) -> list[dict[str, Any]]:
    rows = Figure.objects.filter(cycle=cycle).order_by("workload_id").select_related("workload", "cost_centre")
    return [
        {
            "id": row.workload_id,
            "name": row.workload.name,
            "cost_centre": row.cost_centre.code if row.cost_centre else None,
            "digest": row.digest,
            **{name: getattr(row, name) for name in FIGURES},
        }
        for row in rows
    ]


def _waivers(cycle: Cycle) -> list[dict[str, Any]]:
    waivers = list(cycle.waivers.filter(revision=cycle.revision).order_by("id"))
    decisions = Decision.objects.filter(pk__in=[each.decision_id for each in waivers], acted_for__isnull=False)
    holders = dict(decisions.values_list("pk", "acted_for"))
    return [
        {
            "blocker": each.blocker,
            "reason": each.reason,
            "asked_by": each.asked_by_id,
            "by": each.confirmed_by_id,
            **({"acted_for": holders[each.decision_id]} if each.decision_id in holders else {}),
        }
        for each in waivers
    ]


def _items(cycle: Cycle) -> list[dict[str, Any]]:
    items = Item.objects.on_agenda().filter(cycle=cycle).order_by("position", "id").select_related("workload")
    return [
        {
            "id": item.pk,
            "kind": item.kind,
            "workload": item.workload_id,
            "name": item.workload.name if item.workload else "",
            "subject": item.subject,
            "money_at_stake": item.money_at_stake,
            "facts": item.facts,
            "state": item.state,
            "dispositions": [_disposition(each) for each in item.dispositions.all()],
        }
        for item in items.prefetch_related("dispositions")
    ]


def _disposition(each: Disposition) -> dict[str, Any]:
    said = {"what": each.what, "reason": each.reason, "effect": each.effect, "by": each.by_id, "at": each.at}
    return {**said, "acted_for": each.acted_for_id} if each.acted_for_id else said


def _promises(cycle: Cycle) -> dict[str, Any]:
    """Made in this review, and found in it: what earlier ones had been promised."""
    made = Action.objects.filter(item__cycle=cycle).order_by("id").select_related("workload")
    measured = cycle.measurements.order_by("action_id").select_related("action__workload")
    return {"made": [_made(action) for action in made], "measured": [_measured(row) for row in measured]}


def _action(action: Action) -> dict[str, Any]:
    return {
        "id": action.pk,
        "workload": action.workload_id,
        "name": action.workload.name if action.workload else "",
        "title": action.title,
        "owner": action.owner_id,
        "promised_saving": action.promised_saving,
    }


def _made(action: Action) -> dict[str, Any]:
    columns = ("due", "baseline_month", "baseline_cost", "state")
    return {**_action(action), **{name: getattr(action, name) for name in columns}}


def _measured(row: Measurement) -> dict[str, Any]:
    return {**_action(row.action), "cost": row.cost, "saved": row.saved, "why": row.why}


_TOTALS = """
SELECT coalesce(sum(amount_org) FILTER (WHERE workload_id IS NOT NULL), 0),
    coalesce(sum(amount_org) FILTER (WHERE workload_id IS NULL), 0),
    coalesce(sum(amount_org) FILTER (WHERE booked_month = charge_month), 0),
    coalesce(sum(unpriced_lines), 0), coalesce(sum(unconverted_lines), 0)
FROM costs_month WHERE charge_month = %s AND role = 'counts' AND basis <> 'billed'
"""
