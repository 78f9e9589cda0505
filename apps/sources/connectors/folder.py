"""A folder on this machine in which files appear: rotated logs, dropped bills."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings

from apps.core.errors import BadInput, TollgateError
from apps.sources import files
from apps.sources.connector import FileConnector, FoundFile
from apps.sources.models import Pull

MOST_FILES = 20_000
LONGEST_NAME = 255


class FolderConfig(forms.Form):
    field_order = ("folder", "pattern", "format", "settle_seconds", "columns", "constants", "time_unit", "time_origin")

    folder = forms.CharField(
        label="Folder", max_length=500, help_text="The full path on the machine on which Tollgate runs."
    )
    pattern = forms.CharField(
        label="File names",
        max_length=200,
        initial="*",
        help_text="A pattern such as *.csv.gz; **/*.csv looks into sub-folders too.",
    )
    format = forms.ChoiceField(label="What the files are", choices=Pull.Format.choices)
    columns = forms.CharField(
        label="Columns",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="One a line, field=name: which column of the file holds which field. Left out where the names agree.",
    )
    constants = forms.CharField(
        label="Constants",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line, field=value: what holds for every row, such as provider=openai.",
    )
    time_unit = forms.ChoiceField(
        label="Time",
        required=False,
        choices=[("iso", "date and time"), ("s", "seconds"), ("ms", "milliseconds"), ("h", "hours")],
    )
    time_origin = forms.CharField(
        label="Time counts from",
        required=False,
        max_length=40,
        help_text="For times that count from a start: 2026-01-01T00:00:00Z.",
    )
    settle_seconds = forms.IntegerField(
        label="Complete after",
        initial=60,
        min_value=0,
        max_value=86_400,
        help_text="Seconds without a change; a file that looks the same twice is complete sooner.",
    )

    def clean_folder(self) -> str:
        folder = self.cleaned_data["folder"]
        try:
            return str(files.allowed_folder(folder))
        except TollgateError as error:
            raise forms.ValidationError(str(error)) from None

    def clean_pattern(self) -> str:
        pattern: str = self.cleaned_data["pattern"]
        if pattern.startswith("/") or ".." in Path(pattern).parts:
            raise forms.ValidationError("A pattern stays inside its folder.")
        return pattern

    def clean_columns(self) -> dict[str, str]:
        return _pairs(self.cleaned_data["columns"])

    def clean_constants(self) -> dict[str, str]:
        return _pairs(self.cleaned_data["constants"])


class Folder(FileConnector):
    kind = "folder"
    label = "A folder on this machine"
    explanation = (
        "Reads what appears in a folder: rotated logs, bills that are dropped there. Renaming a file keeps its rows."
    )
    Config = FolderConfig

    @property
    def settle_seconds(self) -> int:
        return int(self.config.get("settle_seconds", 60))

    def check(self) -> str:
        number = sum(1 for _ in self.files())
        folder, pattern = self.config["folder"], self.config["pattern"]
        if not number:
            return f"{folder} can be read; no file is called {pattern} yet."
        return f"{folder} can be read; {number:,} {'file is' if number == 1 else 'files are'} called {pattern}."

    def files(self) -> Iterator[FoundFile]:
        """Regular files inside the folder; a link that leads out of it is left alone, as if it were not there."""
        try:
            yield from self._offered(files.allowed_folder(self.config["folder"]))
        except OSError as error:
            raise BadInput(f"{self.config['folder']} cannot be read: {error.strerror}.") from None

    def _offered(self, folder: Path) -> Iterator[FoundFile]:
        if not folder.is_dir():
            raise BadInput(f"There is no folder {folder}.", hint="Make it, or choose another one.")
        if not os.access(folder, os.R_OK | os.X_OK):
            raise BadInput(f"{folder} may not be read by the account under which Tollgate runs.")
        for number, path in enumerate(sorted(folder.glob(self.config["pattern"]))):
            if number >= MOST_FILES:
                raise BadInput(
                    f"More than {MOST_FILES:,} files match in {folder}.", hint="Move away what was read long ago."
                )
            found = _found(folder, path)
            if found is not None:
                yield found

    def reading(self) -> tuple[Pull.Format, dict[str, Any]]:
        names = ("columns", "constants", "time_unit", "time_origin")
        options = {name: self.config[name] for name in names if self.config.get(name)}
        return Pull.Format(self.config["format"]), {**options, "zone": self.source.zone}


def incoming() -> Path:
    """The folder that is proposed: the first of those that may be read."""
    return Path(settings.IMPORT_ROOTS[0])


def _found(folder: Path, path: Path) -> FoundFile | None:
    """None for whatever is no readable regular file of this folder, or vanished meanwhile."""
    try:
        resolved = path.resolve(strict=True)
        status = resolved.stat()
    except (OSError, RuntimeError):  # a link that leads to itself is the latter
        return None
    if folder not in resolved.parents or not stat.S_ISREG(status.st_mode) or path.name.startswith("."):
        return None
    return FoundFile(
        name=_name_of(path.relative_to(folder)), path=resolved, size=status.st_size, changed_ns=status.st_mtime_ns
    )


def _name_of(path: Path) -> str:
    """The name as a database can keep it: Linux allows bytes that are no text, and folders within folders."""
    written = os.fsencode(path)
    name = written.decode(errors="replace")
    if name.encode() == written and len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 20]} {hashlib.sha256(written).hexdigest()[:16]}"


def _pairs(text: str) -> dict[str, str]:
    """'field=name' lines as a mapping."""
    pairs = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        field, equals, value = line.partition("=")
        if not equals or not field.strip():
            raise forms.ValidationError(f"'{line}' is not of the form field=name.")
        pairs[field.strip()] = value.strip()
    return pairs
