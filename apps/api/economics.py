"""GET /api/v1/economics/: what each workload's month is worth, with its verdict; the same as pages and packs show."""

import re
from datetime import date
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
from apps.economics import selectors, told

MOST_ROWS: Final = 1_000
MONTH: Final = re.compile(r"20[1-9][0-9]-(0[1-9]|1[0-2])", re.ASCII)


class EconomicsQuery(serializers.Serializer[Any]):
    month = serializers.RegexField(MONTH, help_text="An accounting month, such as 2026-10.")
    workload = serializers.SlugField(max_length=80, required=False, help_text="Only this workload.")
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=10**6, default=0)

    def validate_month(self, text: str) -> date:
        if not MONTH.fullmatch(text):
            raise serializers.ValidationError("A month reads like 2026-10.")
        return date.fromisoformat(f"{text}-01")


def _figure() -> serializers.CharField:
    """A decimal number as text; null where it is unknown, which is not zero."""
    return serializers.CharField(allow_null=True)


class Cases(serializers.Serializer[Any]):
    """The low, the base and the high case."""

    low = serializers.CharField()
    base = serializers.CharField()
    high = serializers.CharField()


class RuleNumber(serializers.Serializer[Any]):
    name = serializers.CharField()
    value = _figure()
    limit = _figure()


class MissingPart(serializers.Serializer[Any]):
    gap = serializers.CharField()
    what = serializers.CharField()
    who = serializers.CharField(help_text="Who can supply it.")


class VerdictTold(serializers.Serializer[Any]):
    word = serializers.ChoiceField(choices=["scale", "keep", "fix", "stop", "unproven"])
    rule = serializers.CharField()
    sentence = serializers.CharField()
    numbers = RuleNumber(many=True)
    would_change = serializers.ListField(child=serializers.CharField())
    missing = MissingPart(many=True)
    is_so_far = serializers.BooleanField(help_text="The month is not over yet.")
    is_capped = serializers.BooleanField(help_text="Outcomes were declared and not counted; else it would be scale.")


class CoverageTold(serializers.Serializer[Any]):
    usage_days = serializers.IntegerField()
    days_without_outcomes = serializers.IntegerField()
    unknown_cost_share = serializers.CharField(allow_null=True, help_text="null: nobody can say how much of it.")
    case = serializers.CharField()
    band = serializers.CharField()
    calls_within_band = serializers.IntegerField(allow_null=True)
    calls_measured = serializers.IntegerField(allow_null=True)
    is_mandated = serializers.BooleanField()


class FiguresTold(serializers.Serializer[Any]):
    """Ratios without a number say why: "no cost", "no value", "no useful output"."""

    month = serializers.CharField()
    state = serializers.CharField(help_text="unknown, provisional, signed or restated.")
    revision = serializers.IntegerField()
    is_complete = serializers.BooleanField()
    cost = _figure()
    components = serializers.DictField(child=serializers.CharField())
    requests = serializers.IntegerField()
    delivered = serializers.IntegerField()
    produced = _figure()
    useful = _figure()
    reviewed = _figure()
    is_declared = serializers.BooleanField()
    value = Cases(allow_null=True)
    review_cost = Cases(allow_null=True)
    net = Cases(allow_null=True)
    margin = _figure()
    roi = _figure()
    pays_back = _figure()
    break_even_cost_per_output = _figure()
    cost_per_useful_output = _figure()
    value_per_useful_output = _figure()
    verdict = VerdictTold()
    coverage = CoverageTold()
    case_versions = serializers.ListField(child=serializers.IntegerField())


class WorkloadTold(FiguresTold):
    workload = serializers.CharField()
    name = serializers.CharField()
    output_unit = serializers.CharField(allow_blank=True)
    signed = FiguresTold(allow_null=True, help_text="As the month was signed; null where it was not.")


class EconomicsAnswer(serializers.Serializer[Any]):
    month = serializers.CharField()
    currency = serializers.CharField()
    zone = serializers.CharField()
    count = serializers.IntegerField(help_text="Workloads there are; `rows` holds at most `limit` of them.")
    rows = WorkloadTold(many=True)


class EconomicsView(APIView):
    """Read unit economics."""

    permission_classes = (scope(TokenScope.READ),)

    @extend_schema(
        operation_id="read_economics",
        summary="Read unit economics and verdicts",
        description="A month of every workload whose money the token's person may see, by name, in three cases.",
        parameters=[EconomicsQuery],
        responses={
            200: EconomicsAnswer,
            **{(code, "application/problem+json"): OpenApiResponse(Problem) for code in (400, 401, 403, 404, 405, 406)},
        },
    )
    def get(self, request: Request) -> Response:
        query = EconomicsQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked, actor = query.validated_data, actor_of(request)
        require_money(actor)
        workload, month = workload_named(actor, asked.get("workload")), asked["month"]
        count, rows = selectors.page_of_month(
            actor=actor, month=month, workload=workload, limit=asked["limit"], offset=asked["offset"]
        )
        company = organisation.get()
        answer = told.month_as_json(month=month, currency=company.currency, zone=company.zone, count=count, rows=rows)
        return Response(answer)
