"""Files hold exactly what the page shows, and no cell of text can run."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from apps.web.exports import plain, safe_text, table_response

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "＝1+1",
    "＋1",
    "－1",
    "＠x",
    "  =1",
    "\u200b=1",
    "\ufeff=1",
    "|x",
]


def body(response) -> str:
    return b"".join(response.streaming_content).decode()


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text):
    assert safe_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["Sales copilot", "claude-sonnet-4", "a=b", "5 - 3", "", "–", "ünï"])
def test_other_text_stays_as_it_is(text):
    assert safe_text(text) == text


@given(st.text())
def test_no_cell_of_text_starts_like_a_formula(text):
    first = safe_text(text).lstrip()[:1]
    assert first not in set("=+-@＝＋－＠") or not text


def test_numbers_stay_numbers_with_every_digit():
    assert plain(Decimal("-15073.10")) == "-15073.10"
    assert plain(Decimal("1E-7")) == "0.0000001"
    assert plain(1e-7) == "0.0000001"
    assert plain(-3) == "-3"
    assert plain(None) == ""
    assert plain(True) == "yes"
    assert plain(date(2026, 10, 1)) == "2026-10-01"


def test_csv_quotes_and_reads_back():
    response = table_response(
        ["Workload", "Cost"], [['a,"b"\nc', Decimal("1.50")], ["=x", None]], name="costs 2026/10\r\nx"
    )
    assert list(csv.reader(io.StringIO(body(response)))) == [["Workload", "Cost"], ['a,"b"\nc', "1.50"], ["'=x", ""]]
    assert response["Content-Disposition"] == 'attachment; filename="costs-2026-10-x.csv"'
    assert response["X-Content-Type-Options"] == "nosniff"


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), max_size=5))
def test_csv_reads_back_whatever_the_text(rows):
    columns = ["A", "B"]
    text = body(table_response(columns, rows, name="x"))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        columns,
        *[[safe_text(cell) for cell in row] for row in rows],
    ]


def test_xlsx_keeps_types_and_runs_nothing():
    rows = [["=1+1", Decimal("-2.5"), datetime(2026, 10, 1, 12, tzinfo=UTC), None, "bad\x00\x07byte", 3]]
    response = table_response(list("ABCDEF"), rows, name="x", kind="xlsx")
    sheet = load_workbook(io.BytesIO(response.content)).active
    row = [cell.value for cell in sheet[2]]
    assert row == ["'=1+1", -2.5, datetime(2026, 10, 1, 12), None, "badbyte", 3]
    assert sheet["A2"].data_type == "s"
    assert sheet["B2"].data_type == "n"


def test_headings_are_text_too():
    assert body(table_response(["=x"], [], name="x")).strip() == "'=x"
