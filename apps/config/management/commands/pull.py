"""Ask live sources what they have, and read it at once."""

import json
from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.actor import Actor
from apps.core.errors import BadInput, TollgateError
from apps.costs import imports
from apps.sources import selectors
from apps.sources import services as sources
from apps.sources.models import Pull, Source
from apps.sources.reading import origin

ACTOR = Actor.command("manage.py pull")


class Command(BaseCommand):
    help = "Pull from live sources: all that are not paused, or those that are named."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG")
        parser.add_argument("--since", default="", metavar="T", help="start of the window, a full hour; with --until")
        parser.add_argument("--until", default="", metavar="T", help="end of the window, not included")
        parser.add_argument("--json", action="store_true", help="print the results as JSON and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
        try:
            since, until = _window(options["since"], options["until"])
            results = [_pull(source, since, until) for source in _chosen(options["slugs"])]
        except TollgateError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(json.dumps(results, indent=2) if options["json"] else _in_words(results))
        broken = [result["source"] for result in results if result["error"]]
        if broken:
            raise CommandError(f"Could not pull everything of {', '.join(broken)}.")


def _chosen(slugs: list[str]) -> list[Source]:
    if slugs:
        return [selectors.get_source_for(actor=ACTOR, slug=slug) for slug in slugs]
    return list(Source.objects.exclude(kind="file").exclude(state=Source.State.PAUSED).order_by("slug"))


def _window(since: str, until: str) -> tuple[datetime | None, datetime | None]:
    if bool(since) != bool(until):
        raise BadInput("A window needs both --since and --until.")
    if not since:
        return None, None
    start, end = datetime.fromisoformat(origin(since)), datetime.fromisoformat(origin(until))
    if start >= end or any(edge.minute or edge.second or edge.microsecond for edge in (start, end)):
        raise BadInput("A window runs from one full hour to a later one.")
    return start, end


def _pull(source: Source, since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """One source; its failure is told and does not keep the others waiting."""
    try:
        asked = sources.ask(actor=ACTOR, source=source, since=since, until=until)
    except TollgateError as error:
        return {"source": source.slug, "pulls": [], "error": str(error)}
    pulls = [imports.run_to_end(pull.pk) for pull in asked]
    errors = [pull.error for pull in pulls if pull.state == Pull.State.FAILED]
    return {"source": source.slug, "pulls": [_told(pull) for pull in pulls], "error": errors[0] if errors else None}


def _told(pull: Pull) -> dict[str, Any]:
    figures = {name: pull.totals.get(name) for name in imports.RESULT_KEYS} if pull.totals else {}
    return {"part": pull.part.name, "state": pull.state, "error": pull.error or None, **figures}


def _in_words(results: list[dict[str, Any]]) -> str:
    if not results:
        return "There is no live source. Files are read by `manage.py ingest`."
    return "\n".join(line for result in results for line in _lines(result))


def _lines(result: dict[str, Any]) -> list[str]:
    if not result["pulls"]:
        return [f"{result['source']}: {result['error'] or 'nothing new'}"]
    return [
        f"{result['source']}, {pull['part']}: {pull['error'] or str(pull['hours_written']) + ' ledger rows written'}"
        for pull in result["pulls"]
    ]
