"""Names, keys, models and files can be called anything; no page, part or file may do what such a name says."""

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import pytest
from django.db import connection
from django.db.models import Model
from django.urls import reverse

from apps.accounts.models import CostCentre, Person
from apps.approvals.models import Confirmation, Decision
from apps.budgets.models import Budget
from apps.catalog.models import Offering
from apps.core.models import Organisation
from apps.economics.models import Evidence, Grade, ValueCase
from apps.reviews.models import Action, Disposition, Waiver
from apps.sources.models import Part, Source
from apps.usage.models import Identity
from apps.workloads.models import Workload
from tests.rights.asking import address_of, client_of
from tests.rights.cast import Cast, Who
from tests.rights.table import TABLE

CSS = Path(__file__).parents[2] / "static/css/tollgate.css"
HOSTILE = "=cmd|'/C calc'!A0<script>alert(1)</script>{{7*7}}\u202e\"'><svg onload=alert(1)>javascript:alert(1)"
PAGES = sorted(name for name, entry in TABLE.items() if entry.get and Who.ADMINISTRATOR in entry.get.may)
FILES = sorted((name, kind) for name in PAGES for kind in TABLE[name].files)
LINKS = {"href", "src", "action", "formaction", "hx-get", "hx-post", "poster", "data"}
# What people write beside a figure or a decision; each with the longest that fits.
WRITTEN: tuple[tuple[type[Model], str, int], ...] = (
    (Budget, "reason", 300),
    (Grade, "name", 80),
    (Evidence, "name", 200),
    (ValueCase, "reason", 300),
    (Confirmation, "reason", 300),
    (Decision, "reason", 300),
    (Disposition, "reason", 500),
    (Action, "title", 200),
    (Waiver, "reason", 500),
)
DOES_SOMETHING = re.compile(r"\s*(javascript|vbscript|data:text)", re.IGNORECASE)
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


@pytest.fixture
def hostile(cast: Cast) -> Cast:
    """Everything that a person or a file can name has the worst of names."""
    name = HOSTILE[:120]
    Workload.objects.update(name=name, purpose=HOSTILE, output_unit=name[:60])
    Person.objects.update(name=name)
    CostCentre.objects.update(name=name)
    Source.objects.update(name=name, state_reason=HOSTILE)
    Part.objects.filter(name="log.csv").update(name=HOSTILE)
    Offering.objects.filter(name="dollar").update(name=name, provider=name[:40])
    Organisation.objects.update(name=name)
    for identity in Identity.objects.all():
        Identity.objects.filter(pk=identity.pk).update(pairs=[["key", f"{HOSTILE}{identity.pk}"], ["tag:x", HOSTILE]])
    with connection.cursor() as cursor:
        # What is only ever added to is renamed all the same: the worst that anybody could have written.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for model, column, longest in WRITTEN:
            cursor.execute(
                f"UPDATE {model._meta.db_table} SET {column} = left(%s || {_number(model, column)}, %s)",
                [HOSTILE[: longest - 12], longest],
            )
        cursor.execute("SET LOCAL session_replication_role = origin")
    return cast


def _number(model: type[Model], column: str) -> str:
    """What is unique stays so."""
    return "id" if model._meta.get_field(column).unique else "''"  # type: ignore[union-attr]


class Reader(HTMLParser):
    """Notes whatever would run."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.data: list[str] = []
        self._script = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._script = ("json" if "json" in (given.get("type") or "") else "code") if tag == "script" else ""
        self.wrong += [f"<{tag} {name}>" for name in given if name.startswith(("on", "hx-on")) or name == "style"]
        links = [given.get(name) or "" for name in LINKS & set(given)]
        # A chart's figures are a download and no page: text that a browser saves and never opens.
        is_file = "download" in given
        links = [link for link in links if not (is_file and link.startswith("data:text/csv;charset=utf-8,"))]
        self.wrong += [f"<{tag} … {link}>" for link in links if DOES_SOMETHING.match(link)]

    def handle_endtag(self, tag: str) -> None:
        del tag
        self._script = ""

    def handle_data(self, data: str) -> None:
        if self._script == "code" and data.strip():
            self.wrong.append(f"a script in the page: {data[:60]}")
        if self._script == "json":
            self.data.append(data)


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_hostile_names_as_they_are(hostile: Cast, name: str, headers: dict[str, str]) -> None:
    entry = TABLE[name]
    client = client_of(hostile, hostile.care, Who.ADMINISTRATOR)
    response = client.get(f"{address_of(name, entry, hostile.care)}?{entry.query}", headers=headers)

    if response.streaming or "html" not in response["Content-Type"]:
        return
    reader = Reader()
    text = response.content.decode()
    reader.feed(text)
    assert not reader.wrong
    assert "unsafe-eval" not in response.get("Content-Security-Policy", "")
    assert "unsafe-inline" not in response.get("Content-Security-Policy", "")
    assert "alert(1)</script>{{7*7}}" not in text
    assert ">49" not in text or "{{7*7}}" in text
    for data in reader.data:
        json.loads(data)
        assert "<" not in data, "a script could be closed from within the data"


@pytest.mark.parametrize(("name", "kind"), FILES)
def test_a_file_holds_no_formula(hostile: Cast, name: str, kind: str) -> None:
    entry = TABLE[name]
    client = client_of(hostile, hostile.care, Who.ADMINISTRATOR)
    asked = "&".join(filter(None, (entry.query, f"format={kind}")))
    response = client.get(f"{address_of(name, entry, hostile.care)}?{asked}")
    content = b"".join(response.streaming_content) if response.streaming else response.content

    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"].startswith("attachment")
    cells = csv_cells(content) if kind == "csv" else xlsx_cells(content)
    texts = [cell for cell in cells if not is_number(cell)]
    assert texts
    assert not [text for text in texts if text.startswith(FORMULAS)]


def csv_cells(content: bytes) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) for cell in row]


def xlsx_cells(content: bytes) -> list[str]:
    sheets = openpyxl.load_workbook(io.BytesIO(content)).worksheets
    cells = [cell for sheet in sheets for row in sheet.iter_rows() for cell in row if cell.value is not None]
    assert not [cell.coordinate for cell in cells if cell.data_type == "f"]
    return [str(cell.value) for cell in cells]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_the_search_says_hostile_words_again_and_no_more(hostile: Cast) -> None:
    client = client_of(hostile, hostile.care, Who.ADMINISTRATOR)
    reader = Reader()
    reader.feed(client.get(reverse("search"), {"q": HOSTILE}).content.decode())

    assert not reader.wrong


def test_a_name_that_turns_the_line_round_stays_within_itself() -> None:
    """A right-to-left override changes how the rest of its line reads; isolated, it ends with the name."""
    isolated = re.search(r"^a, .*?\{ unicode-bidi: isolate; \}", CSS.read_text(), re.MULTILINE)

    assert isolated
