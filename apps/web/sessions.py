"""When the person of a session last proved who they are: a decision takes somebody who did so minutes ago."""

from datetime import UTC, datetime

from allauth.account.authentication import get_authentication_records
from django.http import HttpRequest


def proved_at(request: HttpRequest) -> datetime | None:
    """The last log-in or re-authentication of this session; None where it holds none."""
    records = get_authentication_records(request, request.user)
    times = [record["at"] for record in records if isinstance(record.get("at"), int | float)]
    return datetime.fromtimestamp(max(times), tz=UTC) if times else None
