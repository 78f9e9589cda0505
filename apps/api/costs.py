"""GET /api/v1/costs/: what everything costs, for programs; the same sums as the cost page, exact, as strings."""

from datetime import date
from decimal import Decimal
from typing import Any, Final

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import TokenScope
from apps.api.auth import actor_of, scope
from apps.api.money import require_money, workload_named
from apps.api.usage import Problem
from apps.core import organisation
from apps.core.actor import Actor
from apps.costs import selectors
from apps.costs.selectors import CostRow, CostScope, Grouping, Measures

LONGEST_DAYS: Final = 1_100
MOST_ROWS: Final = 1_000
EARLIEST: Final = date(2015, 1, 1)
LATEST: Final = date(2100, 1, 1)


class CostQuery(serializers.Serializer[Any]):
    """What is asked for: days, half-open, in the organisation's zone."""

    to = serializers.DateField(help_text="The day after the last one.")
    group = serializers.ChoiceField(choices=[str(group) for group in Grouping], default=str(Grouping.WORKLOAD))
    workload = serializers.SlugField(max_length=80, required=False, help_text="Only this workload.")
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=10**6, default=0)

    def get_fields(self) -> dict[str, Any]:
        """`from` is a word of the language, so it cannot be an attribute."""
        return {"from": serializers.DateField(help_text="The first day."), **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        first, end = attrs["from"], attrs["to"]
        if not EARLIEST <= first < end <= LATEST:
            raise serializers.ValidationError({"to": ["It must lie after `from`, and both from 2015 on."]})
        if (end - first).days > LONGEST_DAYS:
            raise serializers.ValidationError({"to": [f"Ask for at most {LONGEST_DAYS:,} days at once."]})
        return attrs


def _money() -> serializers.CharField:
    """A decimal number as text; null where nothing of it is known, which is not zero."""
    return serializers.CharField(allow_null=True)


class Sums(serializers.Serializer[Any]):
    cost = _money()
    requests = serializers.IntegerField(allow_null=True, help_text="null where no source tells calls, as no bill does.")
    failed_requests = serializers.IntegerField()
    tokens = serializers.IntegerField(allow_null=True, help_text="null where no source tells tokens.")
    unpriced_tokens = serializers.IntegerField(help_text="Tokens without a price; their cost is missing in `cost`.")


class CostGroup(Sums):
    """One group. `ref` names it: a workload's slug, a cost centre's code, a day; empty for what is unallocated."""

    ref = serializers.CharField(allow_blank=True)
    name = serializers.CharField()


class CostAnswer(serializers.Serializer[Any]):
    currency = serializers.CharField()
    zone = serializers.CharField()
    group = serializers.CharField()
    count = serializers.IntegerField(help_text="Groups there are; `rows` holds at most `limit` of them.")
    total = Sums()
    rows = CostGroup(many=True)


class CostsView(APIView):
    """Read costs."""

    permission_classes = (scope(TokenScope.READ),)

    @extend_schema(
        operation_id="read_costs",
        summary="Read costs",
        description="Full cost by one grouping, as far as the token's person may see it. Dearest first; days in order.",
        parameters=[CostQuery],
        responses={
            200: CostAnswer,
            **{(code, "application/problem+json"): OpenApiResponse(Problem) for code in (400, 401, 403, 404, 405, 406)},
        },
    )
    def get(self, request: Request) -> Response:
        query = CostQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked, actor = query.validated_data, actor_of(request)
        require_money(actor)
        workload = workload_named(actor, asked.get("workload"))
        about = CostScope(asked["from"], asked["to"], workload_id=workload.pk if workload else None)
        grouping = Grouping(asked["group"])
        return Response(_answer(actor, about, grouping, limit=asked["limit"], offset=asked["offset"]))


def _answer(actor: Actor, about: CostScope, grouping: Grouping, *, limit: int, offset: int) -> dict[str, Any]:
    company = organisation.get()
    sort = "name" if grouping in (Grouping.DAY, Grouping.MONTH) else "-cost"
    table = selectors.cost_table(actor=actor, scope=about, grouping=grouping, sort=sort, limit=limit, offset=offset)
    return {
        "currency": company.currency,
        "zone": company.zone,
        "group": str(grouping),
        "count": table.count,
        "total": _sums(selectors.cost_totals(actor=actor, scope=about).now),
        "rows": [_row(row) for row in table.rows],
    }


def _row(row: CostRow) -> dict[str, Any]:
    return {"ref": row.ref, "name": row.name, **_sums(row.now)}


def _sums(measures: Measures) -> dict[str, Any]:
    return {
        "cost": _text(measures.cost),
        "requests": measures.requests,
        "failed_requests": measures.failed,
        "tokens": measures.tokens,
        "unpriced_tokens": measures.unpriced_tokens,
    }


def _text(amount: Decimal | None) -> str | None:
    """Every digit and no trailing zero, never an exponent."""
    return None if amount is None else format(amount.normalize(), "f")
