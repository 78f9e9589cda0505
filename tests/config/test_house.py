"""What a linter can hold, plain pytest holds too: arrows between apps, migrations, deployment checks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.tollgate import PROJECT, Tollgate


def test_imports_point_down() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_change_of_a_model_has_its_migration(run_command: object) -> None:
    done = run_command("makemigrations", "--check", "--dry-run")  # type: ignore[operator]
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("address", ["https://tollgate.example", ""])
def test_deployment_checks(tollgate: Tollgate, address: str) -> None:
    done = tollgate.run("check", "--deploy", "--fail-level", "WARNING", TOLLGATE_PUBLIC_URL=address)
    assert done.returncode == 0, done.stderr


def test_lock_files_hold_no_addresses() -> None:
    assert '"resolved"' not in (PROJECT / "package-lock.json").read_text()
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-uv.lock"):
        assert "://" not in (PROJECT / name).read_text()


def test_messages_are_json_and_acknowledged_late() -> None:
    """Tasks and messages are JSON: a broker that others can write to must not run code."""
    done = subprocess.run(
        [sys.executable, "-c", "from workers.app import app; print(app.conf.accept_content, app.conf.task_acks_late)"],
        cwd=PROJECT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "apps.config.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['json'] True"
