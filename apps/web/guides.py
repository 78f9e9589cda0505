"""The guides of docs/ as pages, so that nobody has to look for them. Their pictures stay in the files."""

import re
from functools import cache
from pathlib import Path
from typing import Final

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET
from markdown_it import MarkdownIt

from apps.core.errors import NotFound
from apps.web.pages import PageRequest
from apps.web.parts import Tab

DOCS: Final = Path(__file__).parents[2] / "docs"
GUIDES: Final = {"owners": "For owners", "reviewers": "For reviewers"}
PICTURE: Final = re.compile(r"^!\[.*\n", re.MULTILINE)


@login_required
@require_GET
def guide(request: PageRequest, name: str) -> HttpResponse:
    if name not in GUIDES:
        raise NotFound("There is no such guide.")
    title, text = _read(name)
    tabs = [Tab(label, reverse("guides:guide", args=[key]), is_current=key == name) for key, label in GUIDES.items()]
    return render(request, "guides/guide.html", {"title": title, "text": text, "tabs": tabs})


@cache
def _read(name: str) -> tuple[str, SafeString]:
    """Title and text of a guide; a picture's line is left out, and HTML in it would be shown as it is written."""
    head, _, rest = (DOCS / f"guide-{name}.md").read_text().partition("\n")
    html = MarkdownIt("commonmark", {"html": False}).render(PICTURE.sub("", rest))
    return head.lstrip("# "), mark_safe(html)  # noqa: S308 (a file of ours)


app_name = "guides"
urlpatterns = [path("<str:name>/", guide, name="guide")]
