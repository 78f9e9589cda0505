"""Two roles on somebody else's server: neither is a superuser, and the application owns nothing."""

from pathlib import Path

import psycopg
import pytest

from tests.config.tollgate import Tollgate

pytestmark = pytest.mark.slow
ROLES = """
CREATE ROLE their_owner LOGIN CREATEDB;
CREATE ROLE their_app LOGIN;
GRANT their_app TO their_owner;
"""
LOG = "time,usage_key,provider,model,input_tokens,output_tokens\n2026-10-05T09:00:00Z,A,openai,gpt-4o,1000,10\n"


def addresses(tollgate: Tollgate, app: str = "their_app", owner: str | None = "their_owner") -> dict[str, str]:
    """As a person would name them, to the embedded server's socket."""
    given = {"DATABASE_URL": app, "DATABASE_OWNER_URL": owner}
    where = f"@/books?host={tollgate.paths.sockets}"
    return {name: f"postgresql://{role}{where}" for name, role in given.items() if role}


def deploy_errors(tollgate: Tollgate, **environment: str) -> str:
    public = {"TOLLGATE_PUBLIC_URL": "https://tollgate.example"}
    return tollgate.run("check", "--deploy", **public, **environment).stderr


@pytest.fixture
def server(tollgate: Tollgate) -> Tollgate:
    tollgate.up()
    tollgate.query(ROLES)
    return tollgate


def test_two_roles_of_ones_own(server: Tollgate, tmp_path: Path) -> None:
    server.query("CREATE DATABASE books OWNER their_owner")
    two = addresses(server)
    made = server.run("migrate", **two)
    assert made.returncode == 0, made.stderr
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    read = server.run("ingest", str(log), "--source", "gateway", "--format", "requests", **two)
    assert read.returncode == 0, read.stderr
    assert "tollgate." not in deploy_errors(server, **two)
    with psycopg.connect(host=str(server.paths.sockets), user="their_app", dbname="books") as session:
        owners = session.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert owners == [("their_owner",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("DELETE FROM core_audit_event")
    file = tmp_path / "books.backup"
    assert server.run("backup", str(file), **two).returncode == 0
    restored = server.run("restore", "--yes", str(file), **two)
    assert restored.returncode == 0, restored.stderr
    assert server.run("check_ledger", **two).returncode == 0


def test_a_database_of_one_role_is_refused_and_can_be_handed_over(server: Tollgate) -> None:
    server.query("CREATE DATABASE books OWNER their_app")
    one = addresses(server, owner=None)
    assert server.run("migrate", **one).returncode == 0
    assert "tollgate.E001" in deploy_errors(server, **one)
    assert "the role their_app owns" in deploy_errors(server, **addresses(server))
    assert "is a superuser" in deploy_errors(server, **addresses(server, app="tollgate"))
    server.query("ALTER DATABASE books OWNER TO their_owner")
    with psycopg.connect(host=str(server.paths.sockets), user="tollgate", dbname="books") as session:
        session.execute("REASSIGN OWNED BY their_app TO their_owner")
    assert server.run("migrate", **addresses(server)).returncode == 0
    assert "tollgate." not in deploy_errors(server, **addresses(server))
    assert server.run("check_ledger", **addresses(server)).returncode == 0


def test_an_embedded_database_of_one_role_gets_its_second_at_the_next_start(tollgate: Tollgate) -> None:
    """What a cluster of an earlier version looks like: no role for the application, and rights for nobody."""
    assert tollgate.run("check_ledger").returncode == 0
    tollgate.up()
    tollgate.query("DROP OWNED BY tollgate_app; DROP ROLE tollgate_app")
    tollgate.stop()
    assert tollgate.run("check_ledger").returncode == 0
    tollgate.up()
    assert tollgate.query("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = '' "
                          "AND datname = 'tollgate' AND pid <> pg_backend_pid()") == [("tollgate_app",)]  # fmt: skip
