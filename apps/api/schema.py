"""The OpenAPI schema and a page that reads it; both are public, since they hold nothing but the shape of the API."""

from csp.decorators import csp_update
from django.utils.decorators import method_decorator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny


class SchemaView(SpectacularAPIView):
    permission_classes = (AllowAny,)
    authentication_classes = ()


# Swagger's own styles stand in the page; nothing of a user is on it.
@method_decorator(csp_update({"style-src": ["'unsafe-inline'"], "img-src": ["data:"]}), name="dispatch")  # type: ignore[arg-type]
class DocsView(SpectacularSwaggerSplitView):
    permission_classes = (AllowAny,)
    authentication_classes = ()
