"""Read a file of usage or a bill into the ledger, and say what came of it."""

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import organisation
from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.costs import imports
from apps.sources import files
from apps.sources import services as sources
from apps.sources.models import Pull
from apps.sources.reading import ENGINES, TIME_UNITS, reading_options

ACTOR = Actor.command("manage.py ingest")


class Command(BaseCommand):
    help = (
        "Read a request log, a cloud bill (FOCUS) or ready usage into the ledger. The same file twice changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="CSV, JSON lines (both also as .gz) or Parquet; a folder or a glob of them")
        parser.add_argument(
            "--source", required=True, metavar="SLUG", help="short name of the source; made when it does not exist"
        )
        parser.add_argument("--format", required=True, choices=Pull.Format.values)
        parser.add_argument(
            "--part", default="", metavar="NAME", help="what the file replaces; the file's own name if left out"
        )
        parser.add_argument(
            "--column", action="append", default=[], metavar="FIELD=NAME", help="which column holds a field"
        )
        parser.add_argument(
            "--set", action="append", default=[], metavar="FIELD=VALUE", help="a constant for a field the file lacks"
        )
        parser.add_argument("--zone", default="", help="zone of times that name none (default: the source's, else UTC)")
        parser.add_argument("--time-unit", default="iso", choices=TIME_UNITS, help="what a time is counted in")
        parser.add_argument("--time-origin", default="", metavar="ISO", help="what relative times count from")
        parser.add_argument("--engine", default="duckdb", choices=ENGINES)
        parser.add_argument("--again", action="store_true", help="load the same bytes although another part holds them")
        parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        try:
            pull = self._ingest(options)
        except TollgateError as error:
            raise CommandError(str(error)) from None
        if pull.state != Pull.State.DONE:
            raise CommandError(pull.error or f"The import is {pull.get_state_display()}.")
        self.stdout.write(json.dumps(_result(pull), indent=2) if options["json"] else _in_words(pull))

    def _ingest(self, options: dict[str, Any]) -> Pull:
        found = files.expand(options["file"])
        reading = reading_options(
            columns=options["column"],
            constants=options["set"],
            zone=options["zone"],
            time_unit=options["time_unit"],
            time_origin=options["time_origin"],
            engine=options["engine"],
            again=options["again"],
        )
        digest, size = _digest(found)
        self._make_organisation()
        source, made = sources.find_or_create(actor=ACTOR, slug=options["source"])
        if made:
            self._say(f"Made the source '{source.slug}'.")
        path = str(Path(options["file"]).absolute())
        part = sources.ensure_part(actor=ACTOR, source=source, name=options["part"] or Path(path).name)
        pull = sources.request_pull(
            actor=ACTOR,
            part=part,
            format=options["format"],
            options=reading,
            file_path=path,
            file_size=size,
            digest=digest,
        )
        return imports.run_to_end(pull.pk, self._progress())

    def _make_organisation(self) -> None:
        if organisation.find() is None:
            made = organisation.make(actor=ACTOR, name=organisation.DEFAULT_NAME)
            self._say(f"Made the organisation '{made.name}' with {made.currency} and {made.zone}; it can be renamed.")

    def _say(self, sentence: str) -> None:
        """To the error output, so that `--json` prints JSON and nothing else."""
        self.stderr.write(sentence)

    def _progress(self) -> imports.OnProgress | None:
        """A line that renews itself, for a person at a terminal only."""
        if not sys.stderr.isatty():
            return None
        return lambda progress: print(f"\r\033[K{_step(progress)}", end="", file=sys.stderr, flush=True)  # noqa: T201


def _digest(found: list[Path]) -> tuple[str, int]:
    try:
        return files.digest_of(found)
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read: {error.strerror}.") from None


def _step(progress: Any) -> str:
    done, total = progress.get("rows_done"), progress.get("rows_total")
    rows = f", {done:,} of {total:,} rows" if done and total else f", {done:,} rows" if done else ""
    return f"{progress['stage']}{rows}"


def _result(pull: Pull) -> dict[str, Any]:
    return {name: pull.totals.get(name) for name in imports.RESULT_KEYS}


def _in_words(pull: Pull) -> str:
    """Figures a person wants first, one a line."""
    totals, where = pull.totals, f"into part '{pull.part.name}' of {pull.part.source.slug}"
    lines = [
        f"{totals['rows_read']:,} rows read, {totals['rows_rejected']:,} rejected, {where}.",
        f"{totals['hours_written']:,} ledger rows written, {totals['hours_unchanged']:,} unchanged.",
    ]
    if totals["rejected_file"]:
        lines.append(f"Rejected rows with line and reason: {totals['rejected_file']}")
    if totals["first_hour"]:
        lines.append(f"From {totals['first_hour']} to {totals['last_hour']}.")
    figures = ("requests", "input_tokens", "cached_input_tokens", "output_tokens")
    lines += [
        f"{name.replace('_', ' ').capitalize()}: {totals[name]:,}" for name in figures if totals[name] is not None
    ]
    lines += _costs(totals)
    if totals.get("unpriced_models"):
        lines.append(f"Without a price: {', '.join(totals['unpriced_models'])}")
    if totals.get("unallocated_share") is not None:
        lines.append(f"Unallocated share of the in-scope cost: {totals['unallocated_share']}")
    return "\n".join([*lines, *(totals.get("notes") or [])])


def _costs(totals: dict[str, Any]) -> list[str]:
    """A bill's own sums in its own currencies, then what counts in the organisation's."""
    lines = [
        f"{name.replace('_', ' ').capitalize()}: {sums[name]} {currency}"
        for currency, sums in (totals.get("by_currency") or {}).items()
        for name in ("billed_cost", "effective_cost")
        if sums[name] is not None
    ]
    missing = totals.get("unconverted") or 0
    rows = "1 amount has" if missing == 1 else f"{missing:,} amounts have"
    note = f", incomplete: {rows} no exchange rate" if missing else ""
    lines += [
        f"{name.replace('_', ' ').capitalize()}: {totals[name]} {totals['currency']}{note}"
        for name in ("in_scope_cost", "computed_cost")
        if totals.get(name) is not None
    ]
    if missing and totals.get("in_scope_cost") is None:
        lines.append(f"In scope cost: unknown{note.removeprefix(', incomplete')}")
    return lines
