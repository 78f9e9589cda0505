"""POST /api/v1/outcomes/: programs say what came out. One entry or a list; the list is taken whole or not at all.

The same id with the same content is answered 200, with other content 409; a correction comes under a new id.
"""

import hashlib
import json
from datetime import date, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import TokenScope
from apps.api import idempotency
from apps.api.auth import actor_of, require_source, scope
from apps.api.errors import problem
from apps.api.fields import WholeNumber
from apps.api.known import Known
from apps.api.parsers import StrictJSONParser
from apps.api.usage import Problem
from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput
from apps.economics import services as economics
from apps.economics.models import REPORTED
from apps.economics.services import Effect, OutcomeEntry, OutcomesRefused
from apps.usage.fields import LARGEST
from apps.workloads.models import Workload

MOST_ENTRIES: Final = 1_000
MOST_BYTES: Final = 2 * 1024 * 1024
EXAMPLE: Final = {
    "id": "2026-10-24/ticket-summaries",
    "workload": "ticket-summaries",
    "period_start": "2026-10-24",
    "produced": 412,
    "accepted": 371,
    "reviewed": 40,
}


def _count(**more: Any) -> WholeNumber:
    return WholeNumber(min_value=0, max_value=LARGEST, **more)


class OutcomeBody(Known):
    """What came out of a workload on a day, or in a month where `period_end` is the first day of the next one."""

    id = serializers.CharField(max_length=200, help_text="Yours; sent again it changes nothing.")
    workload = serializers.SlugField(max_length=80)
    source = serializers.CharField(  # type: ignore[assignment]
        max_length=60, default=REPORTED, help_text="What counts it; several sources of one workload add up."
    )
    period_start = serializers.DateField()
    period_end = serializers.DateField(required=False, help_text="The day after the last; the next day if left out.")
    produced = _count()
    accepted = _count(help_text="Useful outputs.")
    reviewed = _count(required=False, allow_null=True, help_text="Checked by a person; unknown if left out.")


class OutcomesAnswer(serializers.Serializer[Any]):
    new = serializers.IntegerField()
    corrected = serializers.IntegerField(help_text="Periods that had other figures, which are kept in the history.")
    same = serializers.IntegerField()


class OutcomesView(APIView):
    """Send outcomes."""

    permission_classes = (scope(TokenScope.OUTCOMES_WRITE),)
    parser_classes = (StrictJSONParser,)

    @extend_schema(
        operation_id="send_outcomes",
        summary="Send outcomes",
        description="One entry, or a list of up to 1,000. A list is taken whole or not at all; each fault is told.",
        parameters=[idempotency.PARAMETER],
        request={"application/json": OutcomeBody},
        responses={
            201: OutcomesAnswer,
            200: OpenApiResponse(OutcomesAnswer, description="All of it was here before, with the same content."),
            **dict.fromkeys(
                [(code, "application/problem+json") for code in (400, 401, 403, 404, 409, 413, 415, 422)], Problem
            ),
        },
        examples=[OpenApiExample("One day", value=EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
            return problem(413, f"The body is larger than {MOST_BYTES // 1024**2} MB.", hint="Send smaller batches.")
        return idempotency.once(request, _receive)


def _receive(request: Request) -> Response:
    bodies, actor = _bodies(request.data), actor_of(request)
    for source in {body["source"] for body in bodies}:
        require_source(request, source)
    try:
        effects = _record(actor, bodies)
    except OutcomesRefused as refused:
        errors = [{"entry": at, "detail": text} for at, text in sorted(refused.errors.items())]
        return problem(refused.status, refused.message, hint=refused.hint, errors=errors)
    counts = {effect.value: sum(one is effect for one in effects) for effect in Effect}
    return Response(counts, status=200 if counts["same"] == len(effects) else 201)


@transaction.atomic
def _record(actor: Actor, bodies: list[dict[str, Any]]) -> list[Effect]:
    """Each source by itself, in one transaction; positions in errors are those of the request."""
    today = timezone.now().astimezone(organisation.zone()).date()
    entries = _entries(actor, bodies)
    effects: list[Effect] = []
    for source in sorted({body["source"] for body in bodies}):
        places = [at for at, body in enumerate(bodies) if body["source"] == source]
        try:
            done = economics.record_outcomes(
                actor=actor, entries=[entries[at] for at in places], today=today, source=source
            )
        except OutcomesRefused as refused:
            errors = {places[at]: text for at, text in refused.errors.items()}
            raise OutcomesRefused(errors, status=refused.status) from None
        effects += [one.effect for one in done]
    return effects


def _bodies(body: Any) -> list[dict[str, Any]]:
    many = isinstance(body, list)
    if many and not body:
        raise BadInput("The list is empty.")
    if many and len(body) > MOST_ENTRIES:
        raise BadInput(f"A list holds at most {MOST_ENTRIES:,} entries.", hint="Send smaller batches.")
    serializer = OutcomeBody(data=body, many=many)
    serializer.is_valid(raise_exception=True)
    checked: list[dict[str, Any]] = serializer.validated_data if many else [serializer.validated_data]
    return checked


def _entries(actor: Actor, bodies: list[dict[str, Any]]) -> list[OutcomeEntry]:
    slugs = {body["workload"] for body in bodies}
    found = Workload.objects.visible_to(actor).active().select_related("cost_centre").filter(slug__in=slugs)
    known = {workload.slug: workload for workload in found}
    unknown = {
        at: f"There is no workload '{body['workload']}'."
        for at, body in enumerate(bodies)
        if body["workload"] not in known
    }
    if unknown:
        raise OutcomesRefused(unknown, status=404)
    return [_entry(known[body["workload"]], body) for body in bodies]


def _entry(workload: Workload, body: dict[str, Any]) -> OutcomeEntry:
    start: date = body["period_start"]
    end = body.get("period_end") or _next_day(start)
    values = (start, end, body["produced"], body["accepted"], body.get("reviewed"))
    digest = hashlib.sha256(json.dumps(values, default=str).encode()).hexdigest()
    return OutcomeEntry(workload, *values, external_id=body["id"], digest=digest)


def _next_day(day: date) -> date:
    if day == date.max:
        raise BadInput("The period lies in the future.")
    return day + timedelta(days=1)
