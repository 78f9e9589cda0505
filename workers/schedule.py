"""What the clock starts, and how often. A missed beat costs nothing: each task takes whatever is due."""

from typing import Any

SCHEDULE: dict[str, dict[str, Any]] = {}
