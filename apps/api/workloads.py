"""GET /api/v1/workloads/: the register, for programs. It holds no money; that is what /api/v1/costs/ is for."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import TokenScope
from apps.api.auth import actor_of, scope
from apps.api.usage import Problem
from apps.workloads.models import Workload

MOST_ROWS = 1_000


class WorkloadQuery(serializers.Serializer[Any]):
    state = serializers.ChoiceField(choices=Workload.State.choices, required=False, help_text="Only in this state.")
    limit = serializers.IntegerField(min_value=1, max_value=MOST_ROWS, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=10**6, default=0)


class Owner(serializers.CharField):
    """A person's name; null where nobody is named."""

    def to_representation(self, value: Any) -> str:
        return str(value)


def _owner() -> Owner:
    return Owner(allow_null=True, read_only=True)


class WorkloadCard(serializers.ModelSerializer[Workload]):
    """What every member may read of a workload."""

    cost_centre = serializers.CharField(source="cost_centre.code", default=None, allow_null=True, read_only=True)
    business_owner = _owner()
    technical_owner = _owner()
    budget_owner = _owner()

    class Meta:
        model = Workload
        fields = (
            *("slug", "name", "purpose", "output_unit", "audience", "stage", "state", "cost_centre"),
            *("business_owner", "technical_owner", "budget_owner", "activated_at"),
        )


class WorkloadAnswer(serializers.Serializer[Any]):
    count = serializers.IntegerField(help_text="Workloads there are; `rows` holds at most `limit` of them.")
    rows = WorkloadCard(many=True)


class WorkloadsView(APIView):
    """Read the register."""

    permission_classes = (scope(TokenScope.READ),)

    @extend_schema(
        operation_id="read_workloads",
        summary="Read the register",
        description="Workloads by name, as far as the token's person may see them: drafts only with those they name.",
        parameters=[WorkloadQuery],
        responses={
            200: WorkloadAnswer,
            **{(code, "application/problem+json"): OpenApiResponse(Problem) for code in (400, 401, 403, 405, 406)},
        },
    )
    def get(self, request: Request) -> Response:
        query = WorkloadQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        asked = query.validated_data
        found = Workload.objects.visible_to(actor_of(request))
        if "state" in asked:
            found = found.filter(state=asked["state"])
        owners = ("cost_centre", "business_owner", "technical_owner", "budget_owner")
        page = found.select_related(*owners).order_by("name", "pk")[asked["offset"] : asked["offset"] + asked["limit"]]
        return Response({"count": found.count(), "rows": WorkloadCard(page, many=True).data})
