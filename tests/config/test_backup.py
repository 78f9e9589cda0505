"""A backup that was restored holds the same; one that is no good changes nothing."""

from collections.abc import Callable
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


def test_a_backup_holds_no_address_for_which_somebody_asked_for_a_new_password(
    tollgate: Tollgate, tmp_path: Path
) -> None:
    file = tmp_path / "books.backup"
    look = "from apps.accounts.models import ResetRequest as R; {}print(R.objects.count())"
    asked = tollgate.run("shell", "-c", look.format("R.objects.create(email='cleo@example.com'); "))
    tollgate.run("backup", str(file))
    assert tollgate.run("restore", "--yes", str(file)).returncode == 0
    left = tollgate.run("shell", "-c", look.format(""))
    assert [said.stdout.splitlines()[-1] for said in (asked, left)] == ["1", "0"]


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


LOG = "time,usage_key,provider,model,input_tokens,output_tokens\n"
ROW = "2025-11-03T14:10:00Z,{key},openai,gpt-4o,{number},10\n"
SUMS = """
SELECT (SELECT sum(input) FROM usage_hour), (SELECT sum(amount) FROM costs_line),
    (SELECT sum(amount_org) FROM costs_month)
"""


# October 2026, attested, reviewed, decided and signed by the people of the tests.
SIGN = """
from apps.config import database
with database.as_owner():
    from tests.reviews.meeting import make_meeting
    from tests.world import make_world
    meeting = make_meeting(make_world())
    cycle = meeting.open()
    meeting.decide_all(cycle)
    print(meeting.sign(cycle).sha256)
"""


def ingest(tollgate: Tollgate, folder: Path, rows: int, *, key: str = "A") -> None:
    log = folder / "log.csv"
    log.write_text(LOG + "".join(ROW.format(key=f"{key}{number % 7}", number=number) for number in range(1, rows + 1)))
    done = tollgate.run("ingest", str(log), "--source", "logs", "--format", "requests")
    assert done.returncode == 0, done.stderr


def test_real_books_come_back_proved_and_what_is_no_good_changes_nothing(tollgate: Tollgate, tmp_path: Path) -> None:
    """One story over one set of servers, since starting them takes longer than all of it."""
    good = tmp_path / "good.backup"
    with tollgate.servers():
        signed = tollgate.run("shell", "-c", SIGN)
        assert signed.returncode == 0, signed.stderr
        ingest(tollgate, tmp_path, 5_000)
        tollgate.run("audit", "seal")
        before = tollgate.query(SUMS)
        tollgate.run("backup", str(good))
        ingest(tollgate, tmp_path, 50)
        assert tollgate.query(SUMS) != before

        done = tollgate.run("restore", "--yes", str(good))
        assert done.returncode == 0, done.stderr
        ledger, chain, restored = done.stdout.splitlines()
        assert ledger.startswith("The ledger holds: ")
        assert chain.startswith("The audit chain holds: ")
        assert "0 events sealed" not in chain
        assert restored == f"Restored {good}."
        assert tollgate.query(SUMS) == before
        assert tollgate.query("SELECT sha256 FROM reviews_pack") == [(signed.stdout.splitlines()[-1],)]
        assert tollgate.query("SELECT count(*) FROM approvals_decision WHERE verdict = 'confirm'") == [(2,)]

        for name, damage in DAMAGES.items():
            bad = tmp_path / f"{name}.backup"
            bad.write_bytes(damage(good.read_bytes()))
            done = tollgate.run("restore", "--yes", str(bad))
            assert done.returncode == 1, name
            assert str(bad) in done.stderr, (name, done.stderr)
        refused = {
            "from a newer version of Tollgate": "INSERT INTO django_migrations (app, name, applied)"
            " VALUES ('costs', '9999_from_the_future', now())",
            "do not hold together": "DELETE FROM costs_line WHERE id = (SELECT max(id) FROM costs_line)",
            "every signed month has the pack of its signature": "SET session_replication_role = replica;"
            " UPDATE reviews_pack SET body = body || ' ',"
            " sha256 = encode(sha256(convert_to(body || ' ', 'UTF8')), 'hex')",
        }
        for sentence, harm in refused.items():
            tollgate.query(harm)
            tollgate.run("backup", str(tmp_path / "harmed.backup"))
            tollgate.run("restore", "--yes", "--anyway", str(good))
            done = tollgate.run("restore", "--yes", str(tmp_path / "harmed.backup"))
            assert (done.returncode, sentence in done.stderr) == (1, True), done.stderr
            assert tollgate.query(SUMS) == before
        databases = {name for (name,) in tollgate.query("SELECT datname FROM pg_database")}
        assert not {name for name in databases if "restoring" in name}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) * 2 // 3],
    "without its end": lambda content: content[:-40],
    "flipped": lambda content: b"".join(
        [content[:-3000], bytes(255 - byte for byte in content[-3000:-2900]), content[-2900:]]
    ),
    "of a newer server": lambda content: content[:6] + b"\x63" + content[7:],
    "empty": lambda content: content[:0],
}


def test_a_backup_into_a_folder_that_is_not_there(tollgate: Tollgate) -> None:
    done = tollgate.run("backup", "/nowhere/books.backup")
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "/nowhere/books.backup cannot be written: No such file or directory.",
    )
