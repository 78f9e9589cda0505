"""Workloads and bindings from a table: the dry run says what the real run does, and refuses with line and reason."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from apps.approvals.proposing import propose
from apps.core.errors import BadInput, NotAllowed
from apps.core.models import AuditEvent
from apps.costs import bindings_csv
from apps.costs.bindings_csv import import_bindings
from apps.workloads import csv_import, services
from apps.workloads.csv_import import import_workloads
from apps.workloads.csv_table import Kind, Line, read_table
from apps.workloads.models import END, Binding, Workload
from tests.books import at, make_source
from tests.workloads.test_register import told
from tests.world import MACHINE, World, actor, log_in

pytestmark = pytest.mark.django_db
FULL = {
    "name": "Call summaries",
    "purpose": "Says what a call was about",
    "output_unit": "call summary",
    "audience": "employee",
    "benefit": "labour",
    "value_tier": "T3",
    "latency_band": "batch",
    "failure_severity": "little",
    "cost_centre": "care",
    "business_owner": "ben@example.com",
    "technical_owner": "Dan Reyes",
    "budget_owner": "ben@example.com",
    "monthly_spend_expected": "4000",
}


def table(*rows: dict[str, str]) -> bytes:
    heads = list(dict.fromkeys(name for row in rows for name in row))
    lines = [heads, *([row.get(name, "") for name in heads] for row in rows)]
    return "\n".join(",".join(f'"{cell}"' for cell in line) for line in lines).encode()


def lines(*rows: dict[str, str]) -> Sequence[Line]:
    return read_table(table(*rows), columns=csv_import.COLUMNS, required=csv_import.REQUIRED)


def take(*rows: dict[str, str], dry_run: bool = False, by: Any = MACHINE) -> list[tuple[Kind, str]]:
    result = import_workloads(actor=by, lines=lines(*rows), dry_run=dry_run, propose=propose)
    return [(row.kind, row.error) for row in result.rows]


# --- Reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "name,purpose\nÄrger,x\n".encode(),
        "\ufeffname,purpose\nÄrger,x\n".encode(),
        "name;purpose\r\nÄrger;x\r\n".encode(),
        "name\tpurpose\nÄrger\tx\n".encode("utf-16"),
        "Name,PURPOSE\n\n'Ärger,x\n\n".replace("'", "").encode(),
    ],
)
def test_common_spellings_of_a_table_are_read(content: bytes) -> None:
    (line,) = read_table(content, columns=["name", "purpose"], required=["name"])
    assert line.cells == {"name": "Ärger", "purpose": "x"}


def test_lines_are_numbered_as_in_the_file_also_after_a_cell_of_two_lines() -> None:
    found = read_table(b'name,purpose\n"a","two\nlines"\nb,x\n', columns=["name", "purpose"], required=["name"])
    assert [line.number for line in found] == [2, 4]


def test_what_an_export_made_safe_is_read_back() -> None:
    (line,) = read_table(b"name\n'=1+1\n", columns=["name"], required=["name"])
    assert line.cells["name"] == "=1+1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"name\n", "no rows"),
        (b"name,state\nx,active\n", "no column “state”"),
        (b"name,name\nx,y\n", "twice"),
        (b"purpose\nx\n", "missing"),
        (b"name\nx,y,z\n", "more cells"),
        (b'name\n"x\n', "cannot be read"),
        (b"name\n\xff\xe9\n", "not UTF-8"),
        (b"name\n" + b"x" * 6000 + b"\n", "cell of more"),
        (b"name\n" + b"x\n" * 5001, "more than 5,000 rows"),
        (b"name\n" + b"x" * 1_000_001, "larger than"),
    ],
)
def test_what_is_no_such_table_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_table(content, columns=["name", "purpose"], required=["name"])


# --- Workloads --------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_everything_and_stores_nothing(world: World) -> None:
    before = AuditEvent.objects.count()
    assert take(FULL, dry_run=True) == [(Kind.NEW, "")]
    assert not Workload.objects.exists()
    assert AuditEvent.objects.count() == before


def test_new_changed_and_unchanged_are_told_apart_field_by_field(world: World) -> None:
    assert take(FULL) == [(Kind.NEW, "")]
    assert take(FULL) == [(Kind.UNCHANGED, "")]
    changed = {"reference": "call-summaries", "name": "Call summaries", "stage": "production", "value_tier": "T1"}
    ben = actor(world.ben)
    result = import_workloads(actor=ben, lines=lines(changed), dry_run=False, propose=propose)
    (row,) = result.rows
    assert [(c.label, c.before, c.after) for c in row.changes] == [
        ("Stage", "Pilot", "Production"),
        ("Value tier", "T3 standard", "T1 critical, once somebody else has confirmed it"),
    ]
    workload = Workload.objects.get()
    assert (workload.stage, workload.monthly_spend_expected) == ("production", Decimal(4000))
    assert [r.value_tier_id for r in workload.revisions.all()] == ["T3"]
    assert [c.proposed for c in workload.confirmations.all()] == [{"value_tier": "T1"}]
    assert take(changed) == [(Kind.ERROR, "A change that somebody confirms is asked for by a person.")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"business_owner": "Nobody Known"}, "Nobody here is called"),
        ({"cost_centre": "XYZ"}, "no cost centre"),
        ({"value_tier": "T9"}, "no value tier"),
        ({"audience": "everybody"}, "cannot be"),
        ({"monthly_spend_expected": "1.234,56"}, "is no amount"),
        ({"monthly_spend_expected": "１２"}, "is no amount"),
        ({"monthly_spend_expected": "-5"}, "is no amount"),
        ({"monthly_spend_expected": "NaN"}, "is no amount"),
        ({"monthly_spend_expected": "1" + "0" * 30}, "amount of 0 or more"),
        ({"purpose": ""}, "Missing: what it is for"),
        ({"reference": "WL-999"}, "no workload"),
        ({"name": "x" * 121}, "longer than"),
    ],
)
def test_a_line_that_cannot_be_says_why_and_the_others_are_taken(
    world: World, wrong: dict[str, str], words: str
) -> None:
    (first, error), (second, _) = take({**FULL, **wrong}, {**FULL, "name": "Another"})
    assert (first, second) == (Kind.ERROR, Kind.NEW)
    assert words in error
    assert [workload.name for workload in Workload.objects.all()] == ["Another"]


def test_a_line_about_somebody_elses_workload_is_refused(world: World) -> None:
    services.register(actor=MACHINE, **told(world, name="Chat"))
    ((kind, error),) = take({"name": "Chat", "purpose": "Mine now"}, by=actor(world.gus))
    assert kind is Kind.ERROR
    assert "You may not change Chat" in error


@pytest.mark.parametrize("column", ["first_estimate", "minutes_base", "useful_a_month"])
def test_a_first_estimate_is_told_in_the_form_and_no_column_of_a_table(world: World, column: str) -> None:
    """It is refused by its name: a cell that the dry run would not show is never dropped in silence."""
    with pytest.raises(BadInput, match=f"no column “{column}”"):
        take({**FULL, column: "1"})
    assert not Workload.objects.exists()


def test_a_table_leaves_the_first_estimate_of_a_use_case_as_it_is(world: World) -> None:
    """Also that of a draft with the same name, which is another use case."""
    values: Any = {**told(world, name="Call summaries"), "first_estimate": {"minutes_base": Decimal("1.5")}}
    for stays in ("Call summaries", "Idea"):
        draft = services.start_draft(actor=actor(world.ben), **{**values, "name": stays})
        if stays == "Call summaries":
            services.activate(actor=actor(world.ben), workload=draft)
    by = actor(world.ben)
    result = import_workloads(
        actor=by,
        lines=lines({"name": "Call summaries", "purpose": "Other words"}, {**FULL, "name": "Idea"}),
        dry_run=False,
        propose=propose,
    )
    assert [(row.kind, [change.label for change in row.changes][:2]) for row in result.rows] == [
        (Kind.CHANGED, ["Purpose"]),
        (Kind.NEW, ["Name", "Purpose"]),
    ]
    kept = Workload.objects.order_by("pk").values_list("name", "state", "first_estimate")
    assert list(kept) == [
        ("Call summaries", "active", {"minutes_base": "1.5"}),
        ("Idea", "draft", {"minutes_base": "1.5"}),
        ("Idea", "active", None),
    ]


# --- Bindings ---------------------------------------------------------------------------------------------------------


def bind_lines(*rows: dict[str, str]) -> Sequence[Line]:
    return read_table(table(*rows), columns=bindings_csv.COLUMNS, required=bindings_csv.REQUIRED)


def test_bindings_are_made_moved_and_left_alone(world: World) -> None:
    chat, search = (services.register(actor=MACHINE, **told(world, name=name)) for name in ("Chat", "Search"))
    make_source("LiteLLM")
    row = {"workload": "Chat", "source": "litellm", "keys": "team=care; env=prod", "from": "2026-10-01", "until": ""}

    def run(**changed: str) -> Kind:
        result = import_bindings(actor=MACHINE, lines=bind_lines({**row, **changed}), dry_run=False)
        return result.rows[0].kind

    assert run() is Kind.NEW
    assert run(workload=chat.ref) is Kind.UNCHANGED
    assert run(workload="search", until="2026-10-31") is Kind.CHANGED
    standing = Binding.objects.in_force().get()
    assert (standing.workload, standing.valid_from, standing.valid_to) == (search, at(1), at(1, month=11))
    assert standing.pairs == [["env", "prod"], ["team", "care"]]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workload": "Nothing"}, "does not exist"),
        ({"source": "nowhere"}, "no source"),
        ({"from": "1 October"}, "no day"),
        ({"from": "2026-02-30"}, "no day"),
        ({"from": "2026-10-01T24:00"}, "no day"),
        ({"from": "2026-1-4 8:00"}, "no day"),
        ({"from": "now"}, "no day"),
        ({"from": "-infinity"}, "no day"),
        # The last day is included, which an hour is not: what may be either is neither.
        ({"until": "20261031"}, "no day"),
        ({"until": "2026-10-31T08:00+02:99"}, "no day"),
        ({"from": "2026-10-01T08:30"}, "full hour"),
        ({"until": "2026-09-01"}, "ends before"),
        ({"until": "9999-12-31"}, "no day"),
    ],
)
def test_a_binding_that_cannot_be_says_why(world: World, wrong: dict[str, str], words: str) -> None:
    services.register(actor=MACHINE, **told(world, name="Chat"))
    row = {"workload": "Chat", "keys": "bot", "from": "2026-10-01", **wrong}
    (found,) = import_bindings(actor=MACHINE, lines=bind_lines(row), dry_run=False).rows
    assert found.kind is Kind.ERROR
    assert words in found.error
    assert not Binding.objects.exists()


def test_two_lines_that_claim_the_same_are_told_in_the_dry_run(world: World) -> None:
    for name in ("Chat", "Search"):
        services.register(actor=MACHINE, **told(world, name=name))
    rows = [{"workload": name, "keys": "bot", "from": "2026-10-01"} for name in ("Chat", "Search")]
    found = import_bindings(actor=MACHINE, lines=bind_lines(*rows), dry_run=True).rows
    # The second takes the place of the first: the page shows it before it happens.
    assert [row.kind for row in found] == [Kind.NEW, Kind.CHANGED]
    assert not Binding.objects.exists()


def test_only_those_who_place_usage_may_import_bindings(world: World) -> None:
    with pytest.raises(NotAllowed):
        import_bindings(actor=actor(world.ben), lines=[], dry_run=True)


def test_a_table_changes_only_the_cards_of_those_who_import_it(world: World) -> None:
    """Anybody may register by a table; a card that is there already is its owners' to change, line by line."""
    assert take(FULL, by=actor(world.cleo)) == [(Kind.NEW, "")]
    other = {**FULL, "name": "Call notes", "business_owner": "cleo@example.com"}
    assert take(other, by=actor(world.cleo)) == [(Kind.NEW, "")]
    both = ({"name": "Call summaries", "purpose": "Mine now"}, {"name": "Call notes", "purpose": "Notes of calls"})
    found = take(*both, by=actor(world.cleo))
    assert [kind for kind, _ in found] == [Kind.ERROR, Kind.CHANGED]
    assert "You may not change Call summaries." in found[0][1]
    assert set(Workload.objects.values_list("name", "purpose")) == {
        ("Call summaries", FULL["purpose"]),
        ("Call notes", "Notes of calls"),
    }
    assert take(both[0], by=actor(world.ben)) == [(Kind.CHANGED, "")]


# --- The page ---------------------------------------------------------------------------------------------------------


def test_the_page_shows_the_differences_and_then_does_exactly_that(world: World) -> None:
    client = log_in(world.cleo)
    upload = SimpleUploadedFile("w.csv", table(FULL), "text/csv")
    page = client.post("/workloads/import/?kind=workloads", {"file": upload})
    assert "1 new, 0 changed" in page.content.decode()
    assert not Workload.objects.exists()
    result = page.context["result"]
    stale = client.post("/workloads/import/apply/?kind=workloads", {"text": page.context["text"], "digest": "old"})
    assert stale.status_code == 409
    assert not Workload.objects.exists()
    confirmed = {"text": page.context["text"], "digest": result.digest}
    assert client.post("/workloads/import/apply/?kind=workloads", confirmed).status_code == 302
    assert Workload.objects.get().name == "Call summaries"


def test_the_page_refuses_what_it_cannot_read_and_who_may_not(world: World) -> None:
    client = log_in(world.cleo)
    bad = client.post("/workloads/import/?kind=workloads", {"file": SimpleUploadedFile("w.csv", b"who\nx\n")})
    assert bad.status_code == 422
    assert "There is no column" in bad.content.decode()
    assert client.get("/workloads/import/?kind=nonsense").status_code == 404
    assert log_in(world.ben).get("/workloads/import/?kind=bindings").status_code == 403
    assert log_in(world.ben).get("/workloads/import/").status_code == 200


@pytest.mark.parametrize("kind", ["workloads", "bindings"])
def test_the_template_can_be_read_back(world: World, kind: str) -> None:
    answer: Any = log_in(world.cleo).get(f"/workloads/import/template/{kind}/")
    content = b"".join(answer.streaming_content)
    module = csv_import if kind == "workloads" else bindings_csv
    assert len(read_table(content, columns=module.COLUMNS, required=module.REQUIRED)) == 1


def test_an_open_end_is_the_end_of_the_calendar(world: World) -> None:
    services.register(actor=MACHINE, **told(world, name="Chat"))
    import_bindings(actor=MACHINE, lines=bind_lines({"workload": "Chat", "keys": "bot"}), dry_run=False)
    assert Binding.objects.get().valid_to == END
