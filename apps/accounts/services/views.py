"""Saved views: what stands in a page's query string, under a name."""

from django.db import transaction

from apps.accounts.models import SavedView
from apps.core import audit
from apps.core.actor import Actor
from apps.core.errors import BadInput, NotAllowed, NotFound


@transaction.atomic
def save_view(*, actor: Actor, page: str, name: str, query: str, shared: bool = False) -> SavedView:
    """Save the view under a name of one's own; the same name again replaces it."""
    if actor.person_id is None:
        raise NotAllowed("A saved view belongs to a person.")
    name, query = " ".join(name.split()), query.lstrip("?")
    if not name or len(name) > 60:
        raise BadInput("Give the view a name of 1 to 60 characters.")
    if len(query) > 2000:
        raise BadInput("This view has too many filters to be saved.")
    view, _ = SavedView.objects.update_or_create(
        person_id=actor.person_id, page=page, name=name, defaults={"query": query, "shared": shared}
    )
    audit.record(actor=actor, verb="saved view", subject=view, data={"page": page, "query": query, "shared": shared})
    return view


@transaction.atomic
def delete_view(*, actor: Actor, view_id: int) -> None:
    """Delete a view of one's own; others' do not exist for this actor, shared or not."""
    view = SavedView.objects.filter(pk=view_id, person_id=actor.person_id or 0).first()
    if view is None:
        raise NotFound("This saved view does not exist.")
    audit.record(actor=actor, verb="deleted view", subject=view, data={"page": view.page})
    view.delete()
