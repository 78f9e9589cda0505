"""The demo company, made once as of 12 November 2026: its totals, and that they hang together."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from apps.accounts.models import Account
from apps.config.demo.build import build, logins
from apps.sources.models import Pull
from apps.usage.models import Identity
from apps.workloads.models import Workload

pytestmark = [pytest.mark.slow, pytest.mark.django_db]
OCTOBER = "charge_month = '2026-10-01' AND role = 'counts' AND basis <> 'billed'"


@pytest.fixture(scope="module", autouse=True)
def company(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Built once for all tests of this module, and cleared away after them."""
    with django_db_blocker.unblock():
        build(lambda _: None, as_of=datetime(2026, 11, 12, 9, tzinfo=UTC))
        yield
        call_command("flush", verbosity=0, interactive=False)


def rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def cents(sql: str) -> dict[str, Decimal]:
    return {str(name): Decimal(amount).quantize(Decimal("0.01")) for name, amount in rows(sql)}


def test_october_by_component() -> None:
    assert cents(f"SELECT component, sum(amount_org) FROM costs_month WHERE {OCTOBER} GROUP BY 1") == {
        "token": Decimal("330150.87"),
        "retry_failed": Decimal("10197.52"),
        "fallback": Decimal("1521.36"),
        "gpu_used": Decimal("8566.88"),
        "gpu_idle": Decimal("4281.37"),
    }


def test_october_by_workload_and_what_nobody_claims() -> None:
    found = cents(
        "SELECT coalesce(w.name, 'unallocated'), sum(m.amount_org) FROM costs_month m "
        f"LEFT JOIN workloads_workload w ON w.id = m.workload_id WHERE {OCTOBER} GROUP BY 1"
    )
    assert len(found) == 41
    assert {name: found[name] for name in ("Shop search", "Sales copilot", "Order status bot", "Image studio")} == {
        "Shop search": Decimal("53461.98"),
        "Sales copilot": Decimal("41768.74"),
        "Order status bot": Decimal("24008.36"),
        "Image studio": Decimal("16315.70"),
    }
    assert found["unallocated"] == Decimal("14231.68")


def test_october_hangs_together_to_the_last_digit() -> None:
    (total,) = rows(f"SELECT sum(amount_org), sum(unpriced_tokens), sum(requests) FROM costs_month WHERE {OCTOBER}")
    assert total == (Decimal("354718.000426471666666677"), 41_171_878, 211_132_395)
    assert rows(f"SELECT sum(amount_org) FROM costs_line WHERE {OCTOBER}") == [total[:1]]
    by_day = "day >= '2026-10-01' AND day < '2026-11-01' AND role = 'counts' AND basis <> 'billed'"
    assert rows(f"SELECT sum(amount_org) FROM costs_day WHERE {by_day}") == [total[:1]]


def test_the_bill_checks_what_the_gateway_counts_and_counts_the_machine_nobody_tagged() -> None:
    bill = "charge_month = '2026-10-01' AND basis = 'effective'"
    assert cents(f"SELECT role, sum(amount_org) FROM costs_month WHERE {bill} GROUP BY 1") == {
        "checks": Decimal("205954.00"),
        "counts": Decimal("3884.15"),
    }


def test_fourteen_keys_of_october_belong_to_nobody() -> None:
    found = cents(
        "SELECT i.pairs->0->>1, sum(l.amount_org) FROM costs_line l JOIN usage_identity i ON i.id = l.identity_id "
        f"WHERE l.workload_id IS NULL AND {OCTOBER} GROUP BY 1 ORDER BY 2 DESC"
    )
    assert len(found) == 14
    assert next(iter(found.items())) == ("team-growth-exp", Decimal("5210.58"))


def test_the_key_that_moved_costs_its_old_owner_until_noon_and_its_new_one_from_then() -> None:
    owners = rows(
        "SELECT w.name, min(l.day), max(l.day) FROM costs_line l JOIN workloads_workload w ON w.id = l.workload_id "
        "JOIN usage_identity i ON i.id = l.identity_id WHERE i.pairs->0->>1 = 'care-labels' "
        "AND l.charge_month = '2026-09-01' GROUP BY 1 ORDER BY 2"
    )
    assert [(name, first.day, last.day) for name, first, last in owners] == [
        ("Enquiry classification", 1, 15),
        ("Returns fraud hints", 15, 30),
    ]


def test_everybody_can_log_in_and_somebody_has_a_draft() -> None:
    assert [login["role"] for login in logins()] == [
        "administrator", "analyst", "platform_engineer", "approver", "reviewer", "auditor", "business_owner", "member",
    ]  # fmt: skip
    assert Account.objects.filter(email__in=[login["email"] for login in logins()]).count() == 8
    assert list(Workload.objects.filter(state="draft").values_list("name", flat=True)) == ["Return reason summaries"]


def test_one_import_failed_and_one_has_rejected_rows() -> None:
    assert Pull.objects.get(state=Pull.State.FAILED).part.name == "gateway-export.csv"
    assert Pull.objects.get(part__name="gateway-eu-2026-11-12.csv.gz").totals["rows_rejected"] == 98
    assert Identity.objects.count() == 62
