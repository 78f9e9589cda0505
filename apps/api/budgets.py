"""GET /api/v1/budgets/: budgets of a month and what they burn, for programs; the same figures as the page."""

import re
from datetime import date
from decimal import Decimal
from typing import Any, Final

from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import rights
from apps.accounts.models import TokenScope
from apps.accounts.rights import Right
from apps.api.auth import actor_of, scope
from apps.api.usage import Problem
from apps.budgets.rows import STATES, BudgetRow, Filters, budget_rows, totals_of, with_forecasts
from apps.budgets.selectors import Standing, this_month
from apps.core import organisation
from apps.core.errors import NotAllowed
from apps.core.money import plain
from apps.workloads.selectors import sees_any_money

MOST_ROWS: Final = 1_000
MONTH: Final = re.compile(r"^20(1[5-9]|[2-9][0-9])-(0[1-9]|1[0-2])\Z")


class BudgetQuery(serializers.Serializer[Any]):
    month = serializers.RegexField(
        MONTH, required=False, help_text="Such as 2026-11; the month that runs when left out."
    )
    state = serializers.ChoiceField(choices=sorted(STATES), required=False, help_text="Only budgets in this state.")
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=10**6, default=0)


def _money(words: str = "") -> serializers.CharField:
    return serializers.CharField(allow_null=True, help_text=words or None)


class BudgetLine(serializers.Serializer[Any]):
    """One workload. Money is text with every digit; null is unknown, or no budget."""

    ref = serializers.CharField(help_text="The workload's slug.")
    name = serializers.CharField()
    state = serializers.ChoiceField(choices=[str(each) for each in Standing])
    budget = _money("The amount that holds in the month.")
    soft = _money("Share at which its owners are told first.")
    hard = _money("Share at which they are told again.")
    spent = _money("Direct cost by booked month.")
    left_out = serializers.CharField(allow_blank=True, help_text="What `spent` leaves out, in words; empty: nothing.")
    restated = _money("Part of `spent` that was used in earlier months.")
    shared = _money("Shared and internal cost beside it; it burns nothing.")
    run_rate = _money("Mean of the month's full days.")
    expected = _money("At the end of the month.")
    expected_low = _money("Four months in five end between this")
    expected_high = _money("and this.")
    runs_out_on = serializers.DateField(allow_null=True)


class BudgetTotals(serializers.Serializer[Any]):
    workloads = serializers.IntegerField()
    with_budget = serializers.IntegerField()
    granted = _money()
    spent = _money()
    spent_without_budget = _money()


class BudgetAnswer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    month = serializers.CharField()
    count = serializers.IntegerField(help_text="Workloads there are; `rows` holds at most `limit` of them.")
    total = BudgetTotals()
    rows = BudgetLine(many=True)


class BudgetsView(APIView):
    """Read budgets."""

    permission_classes = (scope(TokenScope.READ),)

    @extend_schema(
        operation_id="read_budgets",
        summary="Read budgets",
        description="Budgets of a month with what is spent of them, as far as the token's person may see the money.",
        parameters=[BudgetQuery],
        responses={
            200: BudgetAnswer,
            **{(code, "application/problem+json"): OpenApiResponse(Problem) for code in (400, 401, 403, 405, 406)},
        },
    )
    def get(self, request: Request) -> Response:
        query = BudgetQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked, today = query.validated_data, timezone.localdate()
        month = date.fromisoformat(f"{asked['month']}-01") if "month" in asked else this_month(today)
        actor = actor_of(request)
        if not sees_any_money(actor):
            raise NotAllowed("You may not see cost and usage.", hint=rights.who_can_give(Right.SEE_MONEY))
        found = budget_rows(actor=actor, month=month, filters=Filters(state=asked.get("state", "")))
        page = with_forecasts(found[asked["offset"] : asked["offset"] + asked["limit"]], month=month, today=today)
        totals = totals_of(found)
        return Response(
            {
                "currency": organisation.get().currency,
                "month": f"{month:%Y-%m}",
                "count": len(found),
                "total": {
                    "workloads": totals.workloads,
                    "with_budget": totals.with_budget,
                    "granted": plain(totals.granted),
                    "spent": plain(totals.spent),
                    "spent_without_budget": plain(totals.ungoverned),
                },
                "rows": [_line(row) for row in page],
            }
        )


def _line(row: BudgetRow) -> dict[str, Any]:
    burn, budget = row.burn, row.burn.budget
    amounts: dict[str, Decimal | None] = {
        "budget": burn.amount,
        "soft": budget.soft if budget else None,
        "hard": budget.hard if budget else None,
        "spent": burn.direct,
        "restated": burn.restated,
        "shared": burn.shared,
        "run_rate": burn.run_rate,
        "expected": burn.expected,
        "expected_low": burn.low,
        "expected_high": burn.high,
    }
    told = {name: plain(amount) for name, amount in amounts.items()}
    return {
        "ref": row.slug,
        "name": row.name,
        "state": str(burn.standing),
        "left_out": burn.mark,
        **told,
        "runs_out_on": burn.runs_out_on,
    }
