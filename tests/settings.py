"""The settings of the application, with a throw-away data folder named before they are read.

pytest-django reads settings before any conftest; this is the only place early enough.
"""

import os
import shutil
import signal
import tempfile
from pathlib import Path

PREFIX = "tollgate-test-"


def clear_up_after_the_dead() -> None:
    """Ends the servers and removes the folders of test runs that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).split("-")[0]
        if folder.stat().st_uid == os.geteuid() and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
            end_servers(folder)
            shutil.rmtree(folder, ignore_errors=True)


def end_servers(folder: Path) -> None:
    for name in ("postgres/postmaster.pid", "valkey/valkey.pid"):
        try:
            pid = int((folder / name).read_text().split("\n")[0])
            if str(folder) in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGQUIT if name.startswith("postgres") else signal.SIGKILL)
        except (OSError, ValueError):
            continue


# Each process of a run that is spread over several has servers of its own; what it starts itself shares them.
runner = os.environ.get("PYTEST_XDIST_WORKER", "alone")
if os.environ.get("TOLLGATE_TEST_RUNNER") != runner:
    os.environ["TOLLGATE_TEST_RUNNER"] = runner
    clear_up_after_the_dead()
    made = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    made.chmod(0o711)  # as root, PostgreSQL's own user must get through
    os.environ["TOLLGATE_TEST_HOME"] = str(made)
os.environ["TOLLGATE_HOME"] = os.environ["TOLLGATE_TEST_HOME"]
os.environ["TOLLGATE_DATABASE"] = "own"
# Playwright's loop runs in the test's own thread, and Django would take it for an async application.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
# A test database may be lost with the machine.
os.environ.setdefault("TOLLGATE_POSTGRES_OPTIONS", "-c fsync=off -c full_page_writes=off -c max_wal_size=1GB")

from apps.config import embedded  # noqa: E402
from apps.config.settings import *  # noqa: E402, F403

# In this process the tests are the owner: they make databases, empty them and break them on purpose. Processes that
# they start (commands, the worker, a whole Tollgate) are the application, as they are for people.
DATABASES = {"default": embedded.owner_settings("own")}

# The real hasher is slow on purpose; tests/accounts proves it with the setting of the application.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Looked up when asked for: each test's browser would otherwise read the whole folder of static files first.
WHITENOISE_AUTOREFRESH = True
