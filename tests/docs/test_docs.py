"""What the documents say is so: links lead somewhere, commands exist, variables are told, samples load as printed."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command, get_commands

from apps.sources.connector import registry
from apps.usage.fields import FIELDS

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTS = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md"))]
# Set by Tollgate itself for the processes that it starts, or read by Django; nobody configures them.
INTERNAL = {"DJANGO_SETTINGS_MODULE", "TOLLGATE_ONLY_WORKER", "TOLLGATE_BEAT_FILE"}
READERS = {"text", "flag", "number", "words", "url", "kept_secret", "getenv"}


def read(path: Path) -> str:
    return path.read_text()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_relative_links_lead_to_a_file(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", read(path))

    gone = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not gone


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_named_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):(?!=)", read(PROJECT / "Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z][a-z-]+)(?=[`\s;,)])", code_of(read(path))))
    commands = set(re.findall(r"manage\.py ([a-z][a-z_]+)", read(path)))

    assert named <= targets
    assert commands <= set(get_commands())


def code_of(text: str) -> str:
    """What stands in code: in backquotes, or indented by four."""
    return "\n".join([*re.findall(r"`[^`]+`", text), *re.findall(r"^ {4}.*$", text, re.MULTILINE)])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_paths_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"`((?:apps|workers|tests|templates|docs|static)/[\w./-]+)`", read(path))

    assert not [name for name in named if not (PROJECT / name).exists()]


def test_every_field_of_a_file_is_written_down() -> None:
    told = read(PROJECT / "docs/ingest.md")

    assert not [field for fields in FIELDS.values() for field in fields if f"`{field}`" not in told]


def test_every_variable_is_written_down() -> None:
    told = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", read(PROJECT / "docs/configuration.md")))
    told |= set(re.findall(r"\$([A-Z][A-Z0-9_]+)", read(PROJECT / "docs/configuration.md")))
    used = {name for folder in ("apps", "workers") for name in variables(PROJECT / folder)}

    assert "TOLLGATE_HOME" in used
    missing = used - told - INTERNAL
    assert not missing, f"Say in docs/configuration.md what {', '.join(sorted(missing))} does."


def test_no_variable_is_written_down_that_nobody_reads() -> None:
    table = re.findall(r"^\| (.*?) \|", read(PROJECT / "docs/configuration.md"), re.MULTILINE)
    told = {name for cell in table for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", cell)}
    used = {name for folder in ("apps", "workers", "tests") for name in variables(PROJECT / folder)}

    assert told <= used


def variables(folder: Path) -> Iterator[str]:
    """Names of environment variables that the code below a folder reads."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = _read_by(node)
            if name and name.isupper():
                yield name


def _read_by(node: ast.AST) -> str:
    """The variable that a call or a subscript reads: text("X"), os.environ["X"], os.environ.get("X")."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
        return _literal(node.slice) if isinstance(node.ctx, ast.Load) else ""
    if not isinstance(node, ast.Call) or not node.args:
        return ""
    called = ast.unparse(node.func)
    reads = called.split(".")[-1] in READERS or called.endswith("environ.get")
    return _literal(node.args[0]) if reads else ""


def _literal(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def test_every_kind_of_source_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", read(PROJECT / "docs/sources.md"), re.MULTILINE))

    assert described == set(registry())


@pytest.mark.parametrize(
    ("name", "format_", "expected"),
    [
        # 6,000 x 0.15 + 4,000 x 0.075 + 1,000 x 0.60, then 20,000 x 0.15 + 500 x 0.60, then 1,000 x 0.15, per 1M.
        (
            "requests.csv",
            "requests",
            {"rows_read": 4, "rows_rejected": 1, "requests": 3, "hours_written": 3, "computed_cost": "0.00525"},
        ),
        # 154,000 x 0.15 + 23,500 x 0.60, per 1M.
        ("usage.csv", "usage", {"rows_read": 2, "rows_rejected": 0, "requests": 110, "computed_cost": "0.0372"}),
        (
            "bill.csv",
            "focus",
            {"rows_read": 3, "rows_rejected": 0, "billed_cost": "6.11", "in_scope_cost": "6", "currency": "USD"},
        ),
    ],
)
def test_the_samples_load_as_the_documents_say(
    db: None, capsys: pytest.CaptureFixture[str], name: str, format_: str, expected: dict[str, object]
) -> None:
    call_command("ingest", str(PROJECT / "docs/samples" / name), "--source=sample", f"--format={format_}", "--json")
    result = json.loads(capsys.readouterr().out)

    assert {key: result[key] for key in expected} == expected
    assert f"samples/{name}" in read(PROJECT / "docs/ingest.md")
