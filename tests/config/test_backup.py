"""A backup that was restored holds the same; one that is no good changes nothing."""

from pathlib import Path

import pytest

from tests.config.tollgate import Tollgate

pytestmark = pytest.mark.slow

FILL = "from apps.core.models import Organisation; Organisation.objects.create(name='Ünïted Books')"
READ = "from apps.core.models import Organisation; print(list(Organisation.objects.values_list('name', flat=True)))"


def names(tollgate: Tollgate) -> str:
    return tollgate.run("shell", "-c", READ).stdout.splitlines()[-1]


def test_there_and_back(tollgate: Tollgate, tmp_path: Path) -> None:
    file = tmp_path / "books.backup"
    tollgate.run("shell", "-c", FILL)
    assert tollgate.run("backup", str(file)).stdout.startswith(f"Wrote {file} (")
    assert file.stat().st_mode & 0o777 == 0o600
    tollgate.run(
        "shell", "-c", "from django.db import connection as c; c.cursor().execute('DELETE FROM core_organisation')"
    )
    assert tollgate.run("restore", "--yes", str(file)).returncode == 0
    assert names(tollgate) == "['Ünïted Books']"
    assert list(tmp_path.iterdir()) == [file]


def test_a_database_with_something_in_it_is_replaced_only_when_told(tollgate: Tollgate, tmp_path: Path) -> None:
    file = tmp_path / "books.backup"
    tollgate.run("shell", "-c", FILL)
    tollgate.run("backup", str(file))
    done = tollgate.run("restore", str(file))
    assert done.returncode == 1
    assert "is not empty, and all that is in it would be replaced." in done.stderr
    assert names(tollgate) == "['Ünïted Books']"


def test_a_file_that_is_no_backup_or_half_of_one(tollgate: Tollgate, tmp_path: Path) -> None:
    file = tmp_path / "books.backup"
    tollgate.run("shell", "-c", FILL)
    tollgate.run("backup", str(file))
    half = tmp_path / "half.backup"
    half.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for bad in (half, Path(__file__), tmp_path / "missing"):
        assert tollgate.run("restore", "--yes", str(bad)).returncode == 1
    assert names(tollgate) == "['Ünïted Books']"


def test_a_backup_into_a_folder_that_is_not_there(tollgate: Tollgate) -> None:
    done = tollgate.run("backup", "/nowhere/books.backup")
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "/nowhere/books.backup cannot be written: No such file or directory.",
    )
