"""Tables as files: CSV and XLSX of exactly the columns and rows that a page shows.

Spreadsheets run a cell that begins like a formula, so text is made neutral; numbers keep their type and stay numbers.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from openpyxl import Workbook

Cell = str | int | float | Decimal | date | datetime | bool | None

FORMULA_STARTS = frozenset("=+-@\t\r\n|＝＋－＠")
CELL_LIMIT = 32_767  # what Excel holds in one cell
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def table_response(
    columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, name: str, kind: str = "csv"
) -> HttpResponseBase:
    """A download of `rows` under `columns`; `name` is the file's name without its ending."""
    response = _xlsx(columns, rows) if kind == "xlsx" else _csv(columns, rows)
    response["Content-Disposition"] = f'attachment; filename="{_file_name(name)}.{"xlsx" if kind == "xlsx" else "csv"}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def data_address(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A small CSV file as the address of a link: what a chart shows, downloaded without asking the server again."""
    return f"data:text/csv;charset=utf-8,{quote(''.join(_lines([list(columns)], rows)))}"


def safe_text(text: str) -> str:
    """The text, with an apostrophe before it when a spreadsheet would take it for a formula."""
    if text[:1] in FORMULA_STARTS or _first_letter(text) in FORMULA_STARTS:
        return f"'{text}"
    return text


def plain(value: Cell) -> str:
    """A cell of a CSV file: ISO dates, full digits without an exponent, empty for unknown."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, date):
        return value.isoformat()
    return safe_text(value) if isinstance(value, str) else str(value)


def _first_letter(text: str) -> str:
    """The first visible character in its ordinary width: some programs trim what comes before a formula."""
    visible = (letter for letter in text if not letter.isspace() and unicodedata.category(letter) not in ("Cc", "Cf"))
    return unicodedata.normalize("NFKC", next(visible, ""))[:1]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> StreamingHttpResponse:
    return StreamingHttpResponse(_lines([list(columns)], rows), content_type="text/csv; charset=utf-8")


def _lines(*tables: Iterable[Sequence[Cell]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for table in tables:
        for row in table:
            writer.writerow([plain(cell) for cell in row])
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()


def _xlsx(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> HttpResponse:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Tollgate")
    sheet.freeze_panes = "A2"
    sheet.append([_typed(label) for label in columns])
    for row in rows:
        sheet.append([_typed(cell) for cell in row])
    file = io.BytesIO()
    book.save(file)
    return HttpResponse(file.getvalue(), content_type=XLSX)


def _typed(value: Cell) -> Cell:
    """A cell of a workbook: numbers and dates as such; zones are said in words, since Excel has none."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
    if isinstance(value, float | Decimal) and not Decimal(value).is_finite():
        return None
    if not isinstance(value, str):
        return value
    readable = "".join(letter for letter in value if letter in "\t\n" or unicodedata.category(letter) != "Cc")
    return safe_text(readable)[:CELL_LIMIT]


def _file_name(name: str) -> str:
    """Letters, digits, dot and dash only: a header must not carry anything else."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name).strip("-.") or "tollgate"
