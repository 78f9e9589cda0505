"""What the documents promise exists: links, commands, fields."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from apps.usage.fields import FIELDS

PROJECT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *(PROJECT / "docs").glob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_pictures_exist(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    text = document.read_text()
    rules = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= rules
    assert set(re.findall(r"manage\.py ([a-z_]+)", text)) <= set(get_commands())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_named_files_of_the_project_exist(document: Path) -> None:
    for name in re.findall(r"`((?:apps|workers|tests|docs)/[\w/.]+\.(?:py|md))`", document.read_text()):
        assert (PROJECT / name).exists(), name


def test_every_field_of_a_file_is_documented() -> None:
    text = (PROJECT / "docs/ingest.md").read_text()
    for fields in FIELDS.values():
        assert [field for field in fields if field not in text] == []
