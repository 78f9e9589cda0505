"""Money and quantities are NUMERIC(38,18) in the database and `Decimal` in Python; only the display rounds."""

from decimal import Decimal
from typing import Any

from django.db import models

MAX_DIGITS = 38
DECIMAL_PLACES = 18
TOO_LARGE = Decimal(10) ** (MAX_DIGITS - DECIMAL_PLACES)
UNIT = Decimal(1).scaleb(-DECIMAL_PLACES)


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """An amount to the last digit. A NaN is refused by a CHECK on the table, see `is_a_number`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_digits"] = MAX_DIGITS
        kwargs["decimal_places"] = DECIMAL_PLACES
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs


def is_a_number(*fields: str) -> models.Q:
    """The condition of a CHECK that keeps NaN out: PostgreSQL sorts it above every number."""
    condition = models.Q()
    for field in fields:
        condition &= models.Q(**{f"{field}__isnull": True}) | models.Q(**{f"{field}__lt": TOO_LARGE})
    return condition


def plain(amount: Decimal | None) -> str | None:
    """The amount as text without exponent and without trailing zeros: `Decimal('0E-18')` -> `'0'`."""
    if amount is None:
        return None
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
