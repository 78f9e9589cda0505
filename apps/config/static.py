"""Front-end files of npm packages: exactly those that pages use, under the address /static/vendor/."""

import fcntl
import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.contrib.staticfiles.utils import matches_patterns
from django.core.files.storage import FileSystemStorage
from django.core.management import call_command

from apps.config.environment import PROJECT

NODE_MODULES = PROJECT / "node_modules"

# Address below vendor/, folder below node_modules/, files (globs) in it.
PACKAGES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("tabler", "@tabler/core/dist", ("css/tabler.min.css*", "js/tabler.min.js*")),
    ("echarts", "echarts/dist", ("echarts.min.js",)),
    ("inter", "@fontsource-variable/inter", ("index.css", "files/inter-*-wght-normal.woff2")),
    (
        "jetbrains-mono",
        "@fontsource/jetbrains-mono",
        ("latin-400.css", "latin-600.css", "files/jetbrains-mono-latin-[46]00-normal.woff*"),
    ),
)


class VendorFinder(BaseFinder):
    """Finds the files of `PACKAGES`; nothing else of node_modules is ever served."""

    def find(self, path: str, find_all: bool = False, **_: Any) -> Any:
        found = [str(storage.path(name)) for name, storage in self.list([]) if f"{storage.prefix}/{name}" == path]
        return found if find_all else next(iter(found), [])

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Any]]:
        for address, folder, globs in PACKAGES:
            storage: Any = FileSystemStorage(location=NODE_MODULES / folder)
            storage.prefix = f"vendor/{address}"
            for name in files(NODE_MODULES / folder, globs):
                if not matches_patterns(name, list(ignore_patterns or [])):
                    yield name, storage


def files(folder: Path, globs: tuple[str, ...]) -> Iterator[str]:
    for pattern in globs:
        for path in sorted(folder.glob(pattern)):
            yield path.relative_to(folder).as_posix()


def collect(say: Callable[[str], None] = lambda _: None) -> None:
    """Runs collectstatic when a file, a package or the finders changed since the last time; two at once take turns."""
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    stamp = root.parent / "static.stamp"
    with stamp.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now = fingerprint()
        if not stamp.exists() or stamp.read_text() != now:
            say("Collecting front-end files ...")
            call_command("collectstatic", verbosity=0, interactive=False)
            stamp.write_text(now)


def fingerprint() -> str:
    """Changes when what would be collected changes: our own files by size and time, packages by their lock files."""
    ours = sorted(path for folder in settings.STATICFILES_DIRS for path in Path(folder).rglob("*") if path.is_file())
    parts = [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in ours]
    parts += [
        (PROJECT / name).read_text() for name in ("package-lock.json", "requirements.lock", "apps/config/static.py")
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
