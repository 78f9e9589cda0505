"""A pack is one text for one content, whatever made it."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

from apps.reviews.packs import About, Difference, canonical, differences, digest


def row(number: int, **figures: object) -> dict[str, object]:
    return {"id": number, "name": f"W{number}", **figures}


def test_the_bytes_do_not_hang_on_order_or_trailing_zeros() -> None:
    one = canonical({"b": Decimal("1.500000000000000000"), "a": date(2026, 10, 1)})
    two = canonical({"a": date(2026, 10, 1), "b": Decimal("1.5")})

    assert one == two == '{"a":"2026-10-01","b":"1.5"}'
    assert digest(one) == "cadb8895f06060b0978cba7e16ff960ea99499fb9a998292512334e645104af1"


def test_money_keeps_every_digit() -> None:
    assert json.loads(canonical({"cost": Decimal("0.033333333333333333")}))["cost"] == "0.033333333333333333"


def test_two_packs_are_compared_figure_by_figure() -> None:
    before = {"workloads": [row(1, cost="1000", useful=5000), row(2, cost="7")]}
    after = {"workloads": [row(1, cost="1120", useful=5300), row(3, cost="4")]}

    assert differences(before, after) == [
        Difference(About.WORKLOAD, "W1", "cost", "1000", "1120"),
        Difference(About.WORKLOAD, "W1", "useful", "5000", "5300"),
        Difference(About.WORKLOAD, "W3", "cost", None, "4"),
        Difference(About.WORKLOAD, "W2", "cost", "7", None),
    ]


def test_the_same_pack_does_not_differ() -> None:
    assert differences({"workloads": [row(1, cost="1")]}, {"workloads": [row(1, cost="1")]}) == []


def test_what_was_decided_let_pass_or_belongs_to_nobody_is_compared_too() -> None:
    item: dict[str, Any] = {"id": 7, "kind": "stop", "name": "Labels", "money_at_stake": "300", "state": "carried"}
    decided = {"what": "suspend", "reason": "Loses money"}
    waiver = {"blocker": "items", "reason": "It is agreed."}
    before = {
        "totals": {"cost": "10", "unallocated": "1"},
        "items": [{**item, "dispositions": []}],
        "waivers": [waiver],
    }
    after = {
        "totals": {"cost": "12", "unallocated": "1", "unpriced": 0},
        "items": [{**item, "state": "decided", "dispositions": [decided]}],
        "waivers": [],
    }

    assert differences(before, after) == [
        Difference(About.MONTH, "", "cost", "10", "12"),
        Difference(About.ITEM, "Labels", "decided", "carried", "suspend: Loses money"),
        Difference(About.WAIVER, "items", "reason", "It is agreed.", None),
    ]
