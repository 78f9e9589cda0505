"""The style sheet keeps its promises: readable colours, dark twice the same, nothing the content policy forbids."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CSS = (PROJECT / "static/css/tollgate.css").read_text()
TEMPLATES = sorted((PROJECT / "templates").rglob("*.html"))


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--tg-([a-z0-9-]+):\s*([^;]+);", block))


def block(start: str) -> dict[str, str]:
    at = CSS.index(start)
    return tokens(CSS[at : CSS.index("}", at)])


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


LIGHT, DARK = block(":root {"), block('[data-bs-theme="dark"] {')


def test_dark_is_the_same_by_choice_and_by_the_system():
    assert block(":root:not([data-bs-theme]) {") == DARK


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["surface", "bg", "surface-2", "hover"])
@pytest.mark.parametrize("ink", ["ink", "ink-2", "ink-3", "accent", "cost", "stop", "fix", "scale", "keep", "unproven"])
def test_text_is_readable_on_every_ground(theme, ground, ink):
    assert contrast(theme[ink], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("verdict", ["scale", "keep", "fix", "stop", "unproven"])
def test_verdicts_are_readable_on_their_tint(theme, verdict):
    assert contrast(theme[verdict], theme[f"{verdict}-soft"]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_borders_of_controls_and_text_on_accent_are_visible(theme):
    assert contrast(theme["line-3"], theme["surface"]) >= 3
    assert contrast(theme["accent-ink"], theme["accent"]) >= 4.5


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT / "templates")))
def test_templates_hold_nothing_that_the_content_policy_forbids(path):
    text = path.read_text()
    assert not re.search(r"\sstyle\s*=", text), "an inline style"
    assert not re.search(r"\son[a-z]+\s*=", text), "an inline handler"
    assert not re.search(r"hx-on|hx-vals=.js:|hx-trigger=[\"'][^\"']*\[", text), "htmx that needs eval"
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text), "an inline script"
    assert "http://" not in text.replace("http://www.w3.org", ""), "an address of somebody else"
