"""Home: what waits for the person who looks."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.web.pages import page_or_part


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return page_or_part(request, "home/index.html", "waiting", {"today": timezone.localdate()})
