"""Requests that somebody else's page, or somebody's own hand, could send: forged ones, and ones with more in them."""

from collections import Counter
from typing import Any

import pytest
from django import forms
from django.apps import apps
from django.conf import settings
from django.db import models, transaction
from django.urls import reverse

from apps.approvals.models import Confirmation
from tests.rights.asking import address_of, ask, client_of
from tests.rights.cast import Cast, Who
from tests.rights.table import TABLE, Address

POSTS = sorted(name for name, entry in TABLE.items() if entry.post)
# The trail tells each request apart, and a session changes with each.
NOT_WATCHED = {"core.auditevent", "core.auditseal", "sessions.session"}
WATCHED = tuple(model for model in apps.get_models() if model._meta.label_lower not in NOT_WATCHED)
NOT_COMPARED = {"sha256", "prefix", "session_epoch", "last_login"}
NEVER_FIELDS = {
    "is_active",
    "is_staff",
    "is_superuser",
    "groups",
    "granted_by",
    "created_by",
    "recorded_by",
    "version_of",
}
# Read without a form: the button of a view or of a cost centre says them.
OWN_FIELDS = {"cost_centres:activity": {"active"}, "workloads:save_view": {"shared", "page"}}

# --- Cross-site requests ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["form", "htmx"])
@pytest.mark.parametrize("name", POSTS)
def test_a_post_without_the_token_is_refused(cast: Cast, name: str, headers: dict[str, str]) -> None:
    entry = TABLE[name]
    client = client_of(cast, cast.care, Who.ADMINISTRATOR, enforce_csrf_checks=True)
    assert entry.post

    given = ask(client, "post", address_of(name, entry, cast.care), entry.post.data, **headers)

    assert given.status == 403
    assert not given.has_written


@pytest.mark.parametrize("name", ["account_login", "account_logout", "account_reset_password"])
def test_the_door_asks_for_the_token_too(cast: Cast, name: str) -> None:
    client = client_of(cast, cast.care, Who.VISITOR, enforce_csrf_checks=True)

    assert ask(client, "post", reverse(name), {"login": "ada@example.com", "password": "x"}).status == 403


def test_the_token_of_the_page_is_taken_from_a_header_and_another_ones_is_not(cast: Cast) -> None:
    client = client_of(cast, cast.care, Who.ADMINISTRATOR, enforce_csrf_checks=True)
    client.get(reverse("home"))
    token = client.cookies[settings.CSRF_COOKIE_NAME].value

    assert ask(client, "post", reverse("theme"), {"theme": "dark"}, **{"X-CSRFToken": token}).status == 302
    assert ask(client, "post", reverse("theme"), {"theme": "dark"}, **{"X-CSRFToken": "x" * 64}).status == 403


# --- Mass assignment --------------------------------------------------------------------------------------------------


def every_form() -> list[type[forms.BaseForm]]:
    found: list[type[forms.BaseForm]] = []
    waiting = list(forms.BaseForm.__subclasses__())
    while waiting:
        form = waiting.pop()
        waiting += form.__subclasses__()
        found += [form] if form.__module__.startswith("apps.") else []
    return found


def fields_of_forms() -> set[str]:
    return {name for form in every_form() for name in getattr(form, "base_fields", {})}


def hostile_fields() -> dict[str, str]:
    """Every field of every table that no form of ours offers, with values that would do harm."""
    names = {field.name for model in apps.get_models() for field in model._meta.concrete_fields}
    names |= {field.attname for model in apps.get_models() for field in model._meta.concrete_fields}
    names |= NEVER_FIELDS | {"pk", "status", "org", "approved_by", "spend", "user", "actor", "owner"}
    return dict.fromkeys(sorted(names - fields_of_forms()), "1")


def test_no_form_offers_what_only_the_application_sets() -> None:
    assert not fields_of_forms() & NEVER_FIELDS


@pytest.mark.parametrize("name", POSTS)
def test_fields_that_no_form_has_change_nothing(cast: Cast, name: str) -> None:
    entry = TABLE[name]
    assert entry.post
    asked = (Who.ADMINISTRATOR, Who.OWNER, Who.VISITOR, Who.REVIEWER, Who.APPROVER)
    who = next((who for who in asked if who in entry.post.may), Who.ADMINISTRATOR)

    plain = books_after(cast, name, entry, who, {})
    more = {field: value for field, value in hostile_fields().items() if field not in OWN_FIELDS.get(name, ())}
    forged = books_after(cast, name, entry, who, more)

    assert forged == plain


def books_after(cast: Cast, name: str, entry: Address, who: Who, more: dict[str, str]) -> dict[str, Counter[Any]]:
    """The tables after the request; what is never twice the same (keys, times, secrets) is left out."""
    assert entry.post
    client = client_of(cast, cast.care, who)
    with transaction.atomic():
        client.post(address_of(name, entry, cast.care), {**more, **entry.post.data})
        books = {model._meta.label: Counter(map(repr, _rows(model))) for model in WATCHED}
        transaction.set_rollback(True)
    return books


def _rows(model: type[models.Model]) -> list[tuple[Any, ...]]:
    # A key of its own and the successor, which is a new row, differ each time.
    fields = [
        field for field in model._meta.concrete_fields if not field.primary_key and field.name not in NOT_COMPARED
    ]
    kept = [field for field in fields if field.related_model is not model]
    rows = model._base_manager.values_list(*(field.attname for field in kept))
    return [tuple(_known(field, value) for field, value in zip(kept, row, strict=True)) for row in rows]


def _known(field: models.Field[Any, Any], value: Any) -> Any:
    """Of an instant, and of the proposal that the request itself made, only whether there is one."""
    differs = isinstance(field, models.DateTimeField) or field.related_model is Confirmation
    return value is not None if differs else value
