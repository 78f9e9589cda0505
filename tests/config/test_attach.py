"""Commands find the servers, start them where they do not run, and leave nothing behind."""

import os

import pytest

from tests.config.tollgate import Tollgate


@pytest.mark.slow
def test_a_command_starts_what_it_needs_and_stops_it(tollgate: Tollgate) -> None:
    done = tollgate.run("shell", "-c", "from apps.core.models import Organisation; print(Organisation.objects.count())")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr.splitlines() == ["Preparing the database tollgate ..."]
    assert tollgate.all_pids() == []


@pytest.mark.slow
def test_a_process_that_has_the_number_of_a_dead_server_is_not_taken_for_it(tollgate: Tollgate) -> None:
    tollgate.run("migrate")
    (tollgate.paths.cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{tollgate.paths.cluster}\n")
    (tollgate.paths.broker / "valkey.pid").write_text(str(os.getpid()))
    (tollgate.paths.sockets / "valkey.sock").touch()
    assert tollgate.run("showmigrations").returncode == 0


@pytest.mark.slow
def test_the_demo_company_before_it_is_made(tollgate: Tollgate) -> None:
    missing = (1, "The demo company is not made yet. Run `make up` or `make demo-reset`.\n")
    done = tollgate.run("showmigrations", TOLLGATE_DATABASE="demo")
    assert (done.returncode, done.stderr) == missing
    done = tollgate.run("demo_logins", "--json")  # whose database it is needs no telling
    assert (done.returncode, done.stderr) == missing


@pytest.mark.slow
def test_commands_at_the_same_time_do_not_take_the_database_from_each_other(tollgate: Tollgate) -> None:
    running = [tollgate.start_command("shell", "-c", f"import time; time.sleep({n % 3})") for n in range(6)]
    outputs = [command.communicate(timeout=120)[0] for command in running]
    assert [command.returncode for command in running] == [0] * 6, outputs
    assert tollgate.all_pids() == []
