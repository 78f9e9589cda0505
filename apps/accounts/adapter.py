"""How allauth logs people in here: no sign-up, limits by address and place, links that nobody can bend."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse

from apps.accounts import services as accounts
from apps.accounts.models import Account


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Accounts come from invitations and from the wizard; log-in, reset and change of password come from allauth."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Account | None:
        """A deactivated account answers like a wrong password: a stranger learns nothing about who was here."""
        account: Account | None = super().authenticate(request, **credentials)
        return account if account and account.is_active else None

    @transaction.atomic
    def set_password(self, user: Account, password: str) -> None:
        super().set_password(user, password)
        accounts.password_changed(account=user)

    def format_email_subject(self, subject: str) -> str:
        return f"Tollgate: {subject}"

    def get_reset_password_from_key_url(self, key: str) -> str:
        """Built on the configured address: the Host header of a request is the requester's, not ours."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.TOLLGATE_PUBLIC_URL + path.replace("UID-KEY", key)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Failures count by address and place together, so that a stranger cannot lock the owner out from afar."""
        return f"{super()._get_login_attempts_cache_key(request, **credentials)}:{self.get_client_ip(request)}"
