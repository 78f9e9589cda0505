"""All addresses: pages, the JSON API, log-in. Probes (/livez, /readyz) are answered by a middleware before these."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

from apps.web import accounts

urlpatterns: list[URLPattern | URLResolver] = [
    path("accounts/", include(accounts.unused)),
    path("accounts/", include("allauth.urls")),
]
handler404 = "apps.web.middleware.not_found"
handler500 = "apps.web.middleware.broke"
if find_spec("apps.api.urls"):
    urlpatterns.append(path("api/v1/", include("apps.api.urls")))
if find_spec("apps.web.urls"):
    urlpatterns.append(path("", include("apps.web.urls")))
