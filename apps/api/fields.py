"""Fields that read what is written and nothing that merely resembles it, as the readers of files do."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from apps.usage.fields import MOMENT

NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
ABSURD = Decimal(10) ** 30  # beyond every limit of a field, and still quick to write out
LIKE = "2026-10-24T08:00:00Z"
LEAP_SECOND = re.compile(r"^([0-9-]{10}[T ][0-9]{2}:[0-9]{2}):60")


class WholeNumber(serializers.IntegerField):
    """A count. Python alone would read 1_000, full-width digits and true as numbers."""

    def to_internal_value(self, data: Any) -> int:
        number = _number(data)
        if number is None or number != number.to_integral_value():
            self.fail("invalid")
        if abs(number) > ABSURD:
            self.fail("max_value", max_value=self.max_value)
        return int(number)


class Amount(serializers.DecimalField):
    """An exact amount; 18 digits behind the point."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_digits=38, decimal_places=18, **kwargs)

    def to_internal_value(self, data: Any) -> Decimal:
        number = _number(data)
        if number is None:
            self.fail("invalid")
        return super().to_internal_value(number)


class Moment(serializers.DateTimeField):
    """An instant in UTC; without a zone it is read in `context["zone"]`. A leap second falls into its minute."""

    def to_internal_value(self, value: Any) -> datetime:
        # RFC 3339 has a small t and z too.
        if not isinstance(value, str) or not re.fullmatch(MOMENT, text := value.upper()):
            self.fail("invalid", format=LIKE)
        read = super().to_internal_value(LEAP_SECOND.sub(r"\1:59", text))
        try:
            return read.astimezone(UTC)
        except OverflowError:  # at the edge of the calendar another zone is another year
            self.fail("invalid", format=LIKE)

    def enforce_timezone(self, value: datetime) -> datetime:
        return value if value.tzinfo else value.replace(tzinfo=self.context.get("zone", UTC))


def _number(data: Any) -> Decimal | None:
    """The number as it is written, or None."""
    if isinstance(data, bool) or not isinstance(data, (str, int, Decimal)):
        return None
    if isinstance(data, str) and not NUMBER.fullmatch(data):
        return None
    number = Decimal(data)
    return number if number.is_finite() else None
