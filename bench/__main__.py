"""`make bench`: its own database in a throw-away folder, every measure, one line each at the end."""

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="tollgate-bench-"))
HOME.chmod(0o711)  # as root, PostgreSQL's own user must get through
os.environ.update(TOLLGATE_HOME=str(HOME), TOLLGATE_DATABASE="own", DJANGO_SETTINGS_MODULE="apps.config.settings")
# Sizes of a small server instead of PostgreSQL's defaults of 1996; floor and subject have the same ones.
os.environ["TOLLGATE_POSTGRES_OPTIONS"] = (
    "-c shared_buffers=1GB -c work_mem=256MB -c maintenance_work_mem=512MB -c max_wal_size=8GB -c fsync=off "
    "-c synchronous_commit=off -c full_page_writes=off"
)

import django  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402

django.setup()

from apps.config import embedded  # noqa: E402

# Measuring fills and empties tables as no application may: this process is their owner.
settings.DATABASES["default"].update(embedded.owner_settings("own"))

from bench import economics, pages, rating, reading, reviews, signing  # noqa: E402
from bench.harness import Measured, say  # noqa: E402

PARTS = {
    "reading": reading.measure,
    "rating": rating.measure,
    "pages": pages.measure,
    "economics": economics.measure,
    "reviews": reviews.measure,
    "signing": signing.measure,
}


def main(wanted: list[str]) -> int:
    """Run the named parts, or all. A ratio over its limit is said and fails nothing: machines differ."""
    results: list[Measured] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The bench was stopped."))  # so that its servers stop too
    try:
        if unknown := set(wanted) - set(PARTS):
            sys.exit(f"There is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}.")
        with embedded.attached():
            call_command("migrate", verbosity=0)
            for name in wanted or PARTS:
                say(f"{name} ...")
                results += PARTS[name](HOME)
    finally:
        shutil.rmtree(HOME, ignore_errors=True)
    for result in results:
        sys.stdout.write(f"{result}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
