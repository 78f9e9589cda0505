"""The door: accepting an invitation, asking for a new password, and the addresses of allauth that we do not use."""

from typing import Any, NoReturn

from allauth.account.adapter import get_adapter
from allauth.account.forms import ResetPasswordForm
from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.password_validation import password_validators_help_text_html
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, re_path, reverse
from django.views.decorators.http import require_http_methods

from apps.accounts import services as accounts
from apps.accounts.models import Account
from apps.core import organisation
from apps.core.errors import NotFound
from apps.web.forms import errors_into, posted

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


class NewPasswordForm(forms.Form):
    password1 = forms.CharField(
        label="Password",
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=password_validators_help_text_html,
    )
    password2 = forms.CharField(
        label="The same again",
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean_password2(self) -> str:
        password: str = self.cleaned_data["password2"]
        if password != self.cleaned_data.get("password1"):
            raise forms.ValidationError("The two are not the same.")
        return password


class ForgottenPasswordForm(ResetPasswordForm):  # type: ignore[misc]
    """Does the same for every address: looks nobody up and sends nothing.

    Nor does it ring for the worker, which would be busy while the page is still being answered, but only for members.
    """

    def clean_email(self) -> str:
        email: str = get_adapter().clean_email(self.cleaned_data["email"].lower())
        return email

    def save(self, request: HttpRequest, **kwargs: Any) -> str:  # noqa: ARG002
        email: str = self.cleaned_data["email"]
        accounts.ask_for_reset(email=email)
        return email


@require_http_methods(["GET", "POST"])
def accept_invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """The person behind the link sets a password and is logged in."""
    try:
        invitation = accounts.find_invitation(secret)
    except NotFound:
        return render(request, "accounts/invitation.html", {"form": None}, status=404)
    form = NewPasswordForm(posted(request))
    if request.method == "POST" and form.is_valid():
        with errors_into(form):
            account = accounts.accept_invitation(secret=secret, password=form.cleaned_data["password1"])
            enter(request, account)
            return redirect("home")
    context = {"form": form, "inviter": invitation.invited_by, "organisation": organisation.get().name}
    return render(request, "accounts/invitation.html", context, status=400 if form.errors else 200)


def enter(request: HttpRequest, account: Account) -> None:
    """Log a person in who has just proved who they are; the session gets a new key."""
    login(request, account, backend=BACKEND)


def address_of_invitation(secret: str) -> str:
    """Built on the configured address: the Host header of a request is the requester's, not ours."""
    return settings.TOLLGATE_PUBLIC_URL + reverse("accounts:invitation", args=[secret])


def not_here(_: HttpRequest) -> NoReturn:
    """An address changes and a second factor comes with rules of their own, not by allauth's pages."""
    raise Http404


app_name = "accounts"
urlpatterns = [path("invitations/<str:secret>/", accept_invitation, name="invitation")]
# Stands before allauth's own addresses, which other parts of it want to be able to name.
unused = [re_path(r"^(?:email|signup|confirm-email|inactive|2fa|password/set|login/code)(?:/.*)?$", not_here)]
