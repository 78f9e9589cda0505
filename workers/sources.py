"""The bells of live sources: each is asked when its time has come, and whatever it has is rung on to be read."""

from apps.core.actor import Actor
from apps.core.errors import TollgateError
from apps.sources import services as sources
from apps.sources.models import Source
from workers import imports
from workers.app import app

SYSTEM = Actor.system("sources")


@app.task
def pull_due() -> None:
    """Look at every live source whose time has come; one that fails does not keep the others waiting."""
    for source in sources.due_sources():
        pull.delay(source.pk)


@app.task
def pull(source_id: int) -> None:
    """Ask one source and ring for whatever it has."""
    source = Source.objects.get(pk=source_id)
    try:
        asked = sources.ask(actor=SYSTEM, source=source)
    except TollgateError as error:
        sources.note_attention(actor=SYSTEM, source=source, reason=str(error))
        return
    for wanted in asked:
        imports.read.delay(wanted.pk)
