"""Publishing what was read, in a process of its own so that its memory can be seen: WORK_DIR PULL_ID."""

import sys
from pathlib import Path

import django

django.setup()

from django.db import transaction  # noqa: E402

from apps.costs import services as costs  # noqa: E402
from apps.sources.models import Pull  # noqa: E402
from apps.usage import services as usage  # noqa: E402
from apps.usage.staging import Published  # noqa: E402


def publish(work_dir: Path, pull: Pull) -> Published:
    """The transaction of an import, but for the pull's own row."""
    with transaction.atomic():
        published = usage.publish(pull=pull, work_dir=work_dir)
        costs.mark_dirty_touched("import")
    return published


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Pull.objects.select_related("part__source").get(pk=int(sys.argv[2])))
