"""API tokens: made here, shown once, revoked with one click."""

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import rights
from apps.accounts import services as accounts
from apps.accounts.models import ApiToken, TokenScope
from apps.accounts.rights import Right, rights_of
from apps.accounts.selectors import get_token_for, tokens_for
from apps.core.actor import Actor
from apps.core.errors import NotAllowed
from apps.sources.models import Source
from apps.web.forms import errors_into, errors_said, posted
from apps.web.pages import PageRequest
from apps.web.settings import settings_tabs

VALID_DAYS = [(30, "30 days"), (90, "90 days"), (180, "half a year"), (365, "a year")]


class TokenForm(forms.Form):
    name = forms.CharField(label="What is it for?", max_length=80, help_text="Such as “nightly load of the gateway”.")
    scopes = forms.MultipleChoiceField(
        label="It may", choices=TokenScope.choices, widget=forms.CheckboxSelectMultiple, initial=[TokenScope.READ]
    )
    source = forms.ModelChoiceField(
        Source.objects.none(), label="Source", required=False, to_field_name="slug", empty_label="Any source"
    )
    valid_days = forms.TypedChoiceField(label="Ends after", choices=VALID_DAYS, coerce=int, initial=90)

    def offer(self, actor: Actor) -> "TokenForm":
        self.fields["source"].queryset = Source.objects.visible_to(actor)  # type: ignore[attr-defined]
        return self


@login_required
@require_http_methods(["GET", "POST"])
def list_tokens(request: PageRequest) -> HttpResponse:
    """The new token is in the answer to its own form and nowhere else: a redirect would have to keep it."""
    may = rights_of(request.actor).may
    if not may(Right.MANAGE_TOKENS) and not may(Right.SEE_PEOPLE):
        raise NotAllowed("You may not make API tokens.", hint=rights.who_can_give(Right.MANAGE_TOKENS))
    form = TokenForm(posted(request)).offer(request.actor)
    made, plain = None, ""
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            made, plain = _make(form, request.actor)
            form = TokenForm().offer(request.actor)
    context = {
        "tokens": _in_order(request.actor),
        "form": form,
        "made": made,
        "plain": plain,
        "may_make": may(Right.MANAGE_TOKENS),
        "may_manage": may(Right.MANAGE_PEOPLE),
        "sees_others": may(Right.SEE_PEOPLE),
        "me": request.actor.person_id,
        "tabs": settings_tabs(request.actor, "tokens:list"),
        "address": request.build_absolute_uri("/api/v1/"),
    }
    return render(request, "tokens/list.html", context, status=400 if form.errors else 200)


def _make(form: TokenForm, actor: Actor) -> tuple[ApiToken, str]:
    source: Source | None = form.cleaned_data["source"]
    return accounts.create_token(
        actor=actor,
        name=form.cleaned_data["name"],
        scopes=form.cleaned_data["scopes"],
        valid_days=form.cleaned_data["valid_days"],
        source_slug=source.slug if source else "",
    )


def _in_order(actor: Actor) -> list[ApiToken]:
    """Usable ones first, newest first; the 500 newest are enough to find one's own."""
    usable = set(tokens_for(actor).usable().values_list("pk", flat=True))  # type: ignore[attr-defined]
    tokens = list(tokens_for(actor)[:500])
    for token in tokens:
        token.is_usable = token.pk in usable  # type: ignore[attr-defined]
    return sorted(tokens, key=lambda token: token.pk not in usable)


@login_required
@require_POST
def revoke(request: PageRequest, pk: int) -> HttpResponse:
    token = get_token_for(actor=request.actor, pk=pk)
    with errors_said(request, f"The token {token.prefix}… is revoked; it opens nothing any more."):
        accounts.revoke_token(actor=request.actor, token=token)
    return redirect("tokens:list")


app_name = "tokens"
urlpatterns = [path("", list_tokens, name="list"), path("<int:pk>/revoke/", revoke, name="revoke")]
