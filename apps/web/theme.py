"""Light, dark or as the system says: kept in a cookie, so that the server draws the right one and nothing flashes."""

from datetime import timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

COOKIE = "tollgate_theme"
THEMES = (("light", "Light", "sun"), ("dark", "Dark", "moon"), ("system", "Like the system", "device-desktop"))
KEEP = timedelta(days=365)


def chosen(request: HttpRequest) -> str:
    theme = request.COOKIES.get(COOKIE, "")
    return theme if theme in {key for key, _, _ in THEMES} else "system"


@require_POST
def choose(request: HttpRequest) -> HttpResponse:
    """Keep the theme and go back to the page; the script asks for nothing but the cookie."""
    theme = request.POST.get("theme", "")
    response = HttpResponseRedirect(safe_next(request))
    if theme in {key for key, _, _ in THEMES}:
        secure = settings.SESSION_COOKIE_SECURE
        response.set_cookie(COOKIE, theme, max_age=KEEP, samesite="Lax", httponly=True, secure=secure)
    return response


def safe_next(request: HttpRequest) -> str:
    """Where the form came from, if that is one of our own addresses."""
    address = request.POST.get("next", "")
    return address if url_has_allowed_host_and_scheme(address, allowed_hosts=None) else "/"
