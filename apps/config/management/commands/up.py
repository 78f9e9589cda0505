"""manage.py up: what `make up` runs."""

import json
from io import StringIO
from pathlib import Path

from django.conf import settings
from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand
from django.db import connections

from apps.accounts import setup
from apps.config import database, databases, embedded, static, supervisor
from apps.config.embedded import Paths
from apps.config.supervisor import Child, Lock, say


class Command(BaseCommand):
    help = "Starts everything (database, broker, worker, web server) and looks after it until Ctrl-C or SIGTERM."

    def handle(self, **_: object) -> None:
        with supervisor.stoppable():
            run()
        say("Stopped.")


def run() -> None:
    """The order matters: refuse before anything is started, make the database before anybody asks for it."""
    bind, port = settings.TOLLGATE_BIND, settings.TOLLGATE_PORT
    address = supervisor.local_address(bind, port)
    paths = Paths(Path(settings.TOLLGATE_HOME))
    embedded.prepare_home(paths)
    with supervisor.only_one(paths, address) as lock:
        supervisor.check_port(bind, port, killed=lock.killed)
        serve(paths, bind, port, lock)


def serve(paths: Paths, bind: str, port: int, lock: Lock) -> None:
    chosen = settings.TOLLGATE_DATABASE
    children = [supervisor.background_worker(paths, chosen), supervisor.web_server(paths, bind, port, chosen)]
    say(f"Tollgate starts from {paths.home}.")
    say("Starting the database and the broker ...")
    with embedded.attached():
        try:
            prepare(chosen)
            say("Starting the worker and the web server ...")
            for child in children:
                child.start()
            supervisor.wait_until_ready(children, lock.address)
            lock.note("running")
            greet(chosen, lock.address, paths)
            supervisor.look_after(children)
        finally:
            lock.note("stopping")
            say("Stopping ...")
            stop(children)


def prepare(chosen: str) -> None:
    """The chosen database, its tables, and the files of the pages."""
    database.check_broker()
    if chosen == "demo" and not databases.demo_exists():
        say("Making the demo company, once (up to a minute) ...")
        databases.make_demo()
    database.check_connection()
    say("Checking the tables ...")
    database.prepare()
    if database.app_role() == database.owner_role():
        say("Tollgate runs as the owner of its tables; name a second role in DATABASE_OWNER_URL before it counts.")
    static.collect(say)


def stop(children: list[Child]) -> None:
    """All are asked first, then each is waited for."""
    for child in children:
        child.ask_to_end()
    for child in children:
        child.stop()


def greet(chosen: str, address: str, paths: Paths) -> None:
    say("")
    say(f"Tollgate is ready: {address}")
    if chosen == "demo":
        say_logins()
        say("This is the demo company. Your own organisation: make up EMPTY=1")
    elif setup.is_needed():
        say(f"Nobody is here yet: the first page sets it up. From another machine it asks for: {setup.setup_code()}")
    say(f"Logs: {paths.logs}. Ctrl-C stops everything.")
    connections.close_all()  # from here on nothing of it is needed, and a restore would have to cut it off


def say_logins() -> None:
    if "demo_logins" not in get_commands():
        return
    printed = StringIO()
    call_command("demo_logins", "--json", stdout=printed)
    logins = json.loads(printed.getvalue())
    widest = max((len(login["role"]) for login in logins), default=0)
    for login in logins:
        say(f"  {login['role']:<{widest}}  {login['email']}  {login['password']}")
