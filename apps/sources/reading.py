"""How a file is to be read: the options as a person gives them, checked and in the one shape that a pull stores."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

from apps.core.errors import BadInput

TIME_UNITS = ("iso", "s", "ms", "h")
ENGINES = ("duckdb", "spark")


def reading_options(
    *,
    columns: Iterable[str] | Mapping[str, str] = (),
    constants: Iterable[str] | Mapping[str, str] = (),
    zone: str = "",
    time_unit: str = "iso",
    time_origin: str = "",
    engine: str = "duckdb",
    again: bool = False,
) -> dict[str, Any]:
    """The options of a pull; `columns` and `constants` as mappings by field, or as 'field=value' texts.

    A field that is mapped to '' is left out, although a column may have its name.
    """
    if zone and zone not in available_timezones():
        raise BadInput(f"'{zone}' is no time zone.", hint="Use a name such as Europe/Berlin or UTC.")
    if time_unit not in TIME_UNITS:
        raise BadInput(f"'{time_unit}' is no time unit.", hint=f"Use one of {', '.join(TIME_UNITS)}.")
    if engine == "spark":
        raise BadInput("The engine spark cannot be used yet.", hint="Leave out --engine; DuckDB reads any size.")
    options: dict[str, Any] = {
        "columns": dict(columns) if isinstance(columns, Mapping) else pairs(columns),
        "constants": pairs(constants),
        "zone": zone,
        "time_unit": time_unit,
        "time_origin": origin(time_origin),
        "engine": engine,
        "again": again,
    }
    return {name: value for name, value in options.items() if value}


def pairs(given: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """'field=value' texts as a mapping; a field twice is a mistake that must not pass unseen."""
    if isinstance(given, Mapping):
        return {field: value for field, value in given.items() if value}
    found: dict[str, str] = {}
    for text in given:
        field, equals, value = text.partition("=")
        if not equals or not field.strip():
            raise BadInput(f"'{text}' is not of the form field=value.")
        if field.strip() in found:
            raise BadInput(f"The field '{field.strip()}' is given twice.")
        found[field.strip()] = value.strip()
    return found


def origin(text: str) -> str:
    """An instant in ISO 8601, UTC where it names no zone; empty where nothing is given."""
    if not text.strip():
        return ""
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadInput(f"'{text}' is no date and time.", hint="Write it like 2026-10-01T00:00:00Z.") from None
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).astimezone(UTC).isoformat()
