"""POST /api/v1/usage/: programs send what they used, as CloudEvents.

The same source and id with the same content is answered 200, with other content 409, a new one 201. A batch is taken
whole or not at all. Events become hours within a minute, by the schedule of live sources.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import TokenScope
from apps.accounts.rights import Right, require
from apps.api import idempotency
from apps.api.auth import actor_of, require_source, scope
from apps.api.errors import problem
from apps.api.fields import Amount, Moment, WholeNumber
from apps.api.known import Known
from apps.api.parsers import StrictJSONParser
from apps.core.errors import BadInput, Conflict
from apps.sources import selectors
from apps.sources import services as sources
from apps.sources.models import Source
from apps.sources.services import Received, UsageEvent
from apps.usage.fields import LARGEST, LONGEST_PERIOD_DAYS
from apps.usage.pushed import refuse_what_no_hour_holds

MOST_EVENTS = 1_000
MOST_BYTES = 2 * 1024 * 1024
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
FUTURE_TOLERANCE = timedelta(hours=24)
COUNTS = (
    "requests",
    "failed_requests",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
EXAMPLE = {
    "specversion": "1.0",
    "type": "tollgate.usage",
    "source": "support-bot",
    "id": "2026-10-24T08/search-prod",
    "time": "2026-10-24T08:59:59Z",
    "data": {
        "period_start": "2026-10-24T08:00:00Z",
        "usage_key": "search-prod",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "requests": 120,
        "input_tokens": 144_000,
        "cached_input_tokens": 61_000,
        "output_tokens": 22_500,
    },
}


class CloudEventParser(StrictJSONParser):
    media_type = "application/cloudevents+json"


class CloudEventBatchParser(StrictJSONParser):
    media_type = "application/cloudevents-batch+json"


def _count() -> WholeNumber:
    return WholeNumber(required=False, allow_null=True, min_value=0, max_value=LARGEST)


def _amount() -> Amount:
    return Amount(required=False, allow_null=True, min_value=Decimal(0), max_value=Decimal(LARGEST))


class UsageData(Known):
    """Usage of one spender in one hour; token figures are inclusive, what is left out is unknown and not zero."""

    period_start = Moment(required=False, help_text="A full hour; the hour of the event's time if left out.")
    period_end = Moment(required=False, help_text="An hour later if left out.")
    usage_key = serializers.CharField(max_length=255)
    provider = serializers.CharField(max_length=200, required=False, allow_blank=True)
    model = serializers.CharField(max_length=200)
    service_tier = serializers.CharField(max_length=40, required=False, allow_blank=True)
    requests = _count()
    failed_requests = _count()
    input_tokens = _count()
    cached_input_tokens = _count()
    cache_write_tokens = _count()
    cache_write_1h_tokens = _count()
    output_tokens = _count()
    reasoning_tokens = _count()
    gpu_seconds = _amount()
    gpu_busy_seconds = _amount()
    cost = _amount()
    currency = serializers.RegexField(r"^[A-Z]{3}$", required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The rules that a file's rows are rejected by, told at the door instead."""
        known = {name: attrs.get(name) or 0 for name in COUNTS}
        _at_most(
            attrs,
            "input_tokens",
            known["cached_input_tokens"] + known["cache_write_tokens"],
            "cached and cache-write tokens",
        )
        _at_most(attrs, "cache_write_tokens", known["cache_write_1h_tokens"], "one-hour cache-write tokens")
        _at_most(attrs, "output_tokens", known["reasoning_tokens"], "reasoning tokens")
        _at_most(attrs, "requests", known["failed_requests"], "failed requests")
        _at_most(attrs, "gpu_seconds", attrs.get("gpu_busy_seconds") or 0, "busy GPU-seconds")
        if attrs.get("cost") is not None and not attrs.get("currency"):
            raise serializers.ValidationError({"currency": ["A cost needs its currency."]})
        return attrs


class CloudEvent(serializers.Serializer[Any]):
    """CloudEvents 1.0, structured mode. Extension attributes are allowed and not kept."""

    specversion = serializers.ChoiceField(choices=["1.0"])
    type = serializers.CharField(max_length=255)
    source = serializers.SlugField(max_length=80, help_text="Short name of the Tollgate source.")  # type: ignore[assignment]
    id = serializers.CharField(max_length=255)
    time = Moment(required=False, help_text="Without a zone it is read in that of the source.")
    datacontenttype = serializers.CharField(max_length=255, required=False)
    subject = serializers.CharField(max_length=255, required=False)
    data = UsageData()  # type: ignore[assignment]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        start = attrs["data"].get("period_start") or _hour(attrs.get("time"))
        if start is None:
            raise serializers.ValidationError({"data": {"period_start": ["Give this, or the event's time."]}})
        _check_period(start, attrs["data"].get("period_end"))
        attrs["data"]["period_start"] = start
        return attrs


class Answer(serializers.Serializer[Any]):
    """How many events were new and how many were here before with the same content."""

    new = serializers.IntegerField()
    same = serializers.IntegerField()


class Problem(serializers.Serializer[Any]):
    """application/problem+json (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    hint = serializers.CharField(required=False)
    errors = serializers.JSONField(required=False)  # type: ignore[assignment]


class UsageView(APIView):
    """Send usage events."""

    permission_classes = (scope(TokenScope.USAGE_WRITE),)
    parser_classes = (StrictJSONParser, CloudEventParser, CloudEventBatchParser)

    @extend_schema(
        operation_id="send_usage",
        summary="Send usage events",
        description="One CloudEvent, or a list of up to 1,000 of one source. A list is taken whole or not at all.",
        parameters=[idempotency.PARAMETER],
        request={
            "application/cloudevents+json": CloudEvent,
            "application/cloudevents-batch+json": CloudEvent(many=True),
            "application/json": CloudEvent,
        },
        responses={
            201: Answer,
            200: OpenApiResponse(Answer, description="All of it was here before, with the same content."),
            **dict.fromkeys(
                [(code, "application/problem+json") for code in (400, 401, 403, 404, 409, 413, 415, 422)], Problem
            ),
        },
        examples=[OpenApiExample("One hour of one key", value=EXAMPLE, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MOST_BYTES:
            return problem(413, f"The body is larger than {MOST_BYTES // 1024**2} MB.", hint="Send smaller batches.")
        return idempotency.once(request, _receive)


def _receive(request: Request) -> Response:
    events = _events(request.data)
    slugs = {event["source"] for event in events}
    if len(slugs) != 1:
        raise BadInput("A batch holds events of one source.", hint="Send one request for each source.")
    slug = slugs.pop()
    require_source(request, slug)
    actor = actor_of(request)
    require(actor, Right.MANAGE_SOURCES)
    source = selectors.get_source_for(actor=actor, slug=slug)
    with transaction.atomic():
        received = sources.record_events(actor=actor, source=source, events=[_usage_event(event) for event in events])
        refuse_what_no_hour_holds(source=source, hours={event["data"]["period_start"] for event in events})
    return _answer(received)


def _answer(received: list[Received]) -> Response:
    other = [one.event_id for one in received if one.outcome == "other"]
    if other:
        shown = ", ".join(f"'{event_id}'" for event_id in other[:5])
        raise Conflict(
            f"Known with other content: {shown}. Nothing of this request was stored.",
            hint="An event never changes. Send a correction under a new id.",
        )
    new = sum(one.outcome == "new" for one in received)
    return Response({"new": new, "same": len(received) - new}, status=201 if new else 200)


def _events(body: Any) -> list[dict[str, Any]]:
    many = isinstance(body, list)
    if many and not body:
        raise BadInput("The batch is empty.")
    if many and len(body) > MOST_EVENTS:
        raise BadInput(f"A batch holds at most {MOST_EVENTS:,} events.", hint="Send smaller batches.")
    serializer = CloudEvent(data=body, many=many, context={"zone": _zone_of(body[0] if many else body)})
    serializer.is_valid(raise_exception=True)
    checked: list[dict[str, Any]] = serializer.validated_data if many else [serializer.validated_data]
    return checked


def _zone_of(event: Any) -> ZoneInfo:
    """The zone in which the source's times without one are read; whether it may be used is asked later."""
    slug = event.get("source") if isinstance(event, Mapping) else None
    found = Source.objects.filter(slug=slug).first() if isinstance(slug, str) and slug.isprintable() else None
    return ZoneInfo(found.zone if found else "UTC")


def _usage_event(event: dict[str, Any]) -> UsageEvent:
    """The content that decides whether it is the same: the data alone, not when or how it was sent."""
    data = {name: _plain(value) for name, value in event["data"].items() if value not in (None, "")}
    return UsageEvent(event_id=event["id"], hour=event["data"]["period_start"], data=data)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value


def _hour(instant: datetime | None) -> datetime | None:
    return instant.replace(minute=0, second=0, microsecond=0) if instant else None


def _check_period(start: datetime, end: datetime | None) -> None:
    if start.minute or start.second or start.microsecond:
        raise serializers.ValidationError({"data": {"period_start": ["It must be a full hour."]}})
    if not EARLIEST <= start <= timezone.now() + FUTURE_TOLERANCE:
        raise serializers.ValidationError({"data": {"period_start": ["It lies before 2015 or in the future."]}})
    if end is not None and not start < end <= start + timedelta(days=LONGEST_PERIOD_DAYS):
        words = f"It lies after period_start, by {LONGEST_PERIOD_DAYS} days at most."
        raise serializers.ValidationError({"data": {"period_end": [words]}})


def _at_most(attrs: dict[str, Any], whole: str, part: Any, words: str) -> None:
    total = attrs.get(whole)
    if part and (total is None or part > total):
        raise serializers.ValidationError({whole: [f"Smaller than the {words}, which are part of it."]})
