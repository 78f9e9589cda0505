"""manage.py restore FILE"""

from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand

from apps.config import backup, database
from apps.config.environment import SetupError
from apps.core import audit
from apps.costs.proof import Broken
from apps.reviews import proof


class Command(BaseCommand):
    help = (
        "Puts a backup in the place of the chosen database (TOLLGATE_DATABASE=own|demo), once its books are proved. "
        "Until then nothing is changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--yes", action="store_true", help="replace a database that is not empty")
        parser.add_argument("--anyway", action="store_true", help="take a backup whose books do not hold together")

    def handle(self, *, file: Path, yes: bool, anyway: bool, **_: object) -> None:
        file = file.absolute()
        backup.check(file)
        if not yes and not backup.is_empty():
            message = f"The database {backup.current()} is not empty, and all that is in it would be replaced."
            raise SetupError(message, hint="Back it up first; then say so with --yes.")
        backup.restore(file, lambda: self._prove(file, anyway=anyway))
        self.stdout.write(f"Restored {file}.")

    def _prove(self, file: Path, *, anyway: bool) -> None:
        """In the new database, before it takes the old one's place."""
        with database.as_owner():  # the application's role may read nothing there before `prepare`
            newer = backup.unknown_migrations()
        if newer:
            message = f"{file} is from a newer version of Tollgate: it has {newer[0]}, which is unknown here."
            raise SetupError(message, hint="Install that version, then restore. Nothing was changed.")
        database.prepare()
        chain, broken = audit.verify(), proof.prove()
        if (broken or not chain.holds) and not anyway:
            why = str(broken[0]) if broken else f"the audit chain does not hold: {chain.reason}"
            message = f"The books in {file} do not hold together, nothing was changed: {why}"
            raise SetupError(message, hint="Take an older backup, or this one all the same with --anyway.")
        for fault in broken:
            self.stderr.write(str(fault))
        self.stdout.write(_of_ledger(broken))
        self.stdout.write(_of_chain(chain))


def _of_ledger(broken: list[Broken]) -> str:
    if broken:
        return f"The ledger does not hold: {len(broken)} promises are broken."
    return f"The ledger holds: {proof.PROMISES} promises were proved."


def _of_chain(chain: audit.ChainStatus) -> str:
    if not chain.holds:
        return f"The audit chain does not hold: {chain.reason}"
    return f"The audit chain holds: {chain.sealed} events sealed, {chain.waiting} waiting, head {chain.head}."
