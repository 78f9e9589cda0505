"""A first look at a file: what it is, which column is which field, and what the file leaves open.

Guesses are offered and never applied silently: each says how sure it is and why.
"""

import csv
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from apps.usage import fields
from apps.usage.fields import MOMENT, ZONED
from apps.usage.parsing import NUMBER
from apps.usage.reading import CSV, PARQUET, FileError, Guards, Layout, look_at, opened

SAMPLE_ROWS: Final = 200
SHOWN_ROWS: Final = 20
SHOWN_VALUES: Final = 3
LONGEST_VALUE: Final = 120
SURE, POSSIBLE = 0.95, 0.5
NAMED_AS_FOCUS: Final = 4  # columns of FOCUS that make a file a bill

# Other names of the fields, lower case and without signs between words; the likeliest first.
_NAMES: Final = {
    "time": (
        "timestamp ts createdat created starttime startedat requesttime datetime date eventtime logtime @timestamp"
    ),
    "period_start": "periodstart starttime bucketstart start from hour timestamp time date day windowstart",
    "period_end": "periodend endtime bucketend end until to windowend",
    "usage_key": (
        "apikeyalias keyalias apikeyname apikeyid apikey key virtualkey keyname team teamalias teamid project "
        "projectid workspace workspaceid tenant client clientid application app service servicename userid "
        "user enduser namespace costcenter"
    ),
    "provider": "vendor llmprovider customllmprovider modelprovider genaisystem system providername",
    "model": "modelname modelid responsemodel requestmodel modelgroup engine deployment llm workload",
    "input_tokens": (
        "inputtokens prompttokens contexttokens inputlength requesttokens tokensin prompttokencount "
        "promptlength inputtokencount numprompttokens usageinputtokens usageprompttokens prompttok inputtok"
    ),
    "cached_input_tokens": (
        "cachedtokens cachereadinputtokens cachereadtokens inputcachedtokens cachedprompttokens "
        "cachedcontenttokencount promptcachedtokens cachetok cachedtok"
    ),
    "cache_write_tokens": ("cachecreationinputtokens cachewriteinputtokens cachecreationtokens inputcachewritetokens"),
    "cache_write_1h_tokens": "ephemeral1hinputtokens cachewrite1h",
    "output_tokens": (
        "outputtokens completiontokens generatedtokens outputlength responsetokens tokensout "
        "candidatestokencount outputtokencount generationtokens usageoutputtokens usagecompletiontokens "
        "compltok completiontok outputtok"
    ),
    "reasoning_tokens": "reasoningoutputtokens thinkingtokens thoughtstokencount outputreasoningtokens",
    "latency_ms": (
        "latency duration dur durationms requestduration requestdurationms responsetime responsetimems "
        "elapsed elapsedms took tookms totaltime e2elatency"
    ),
    "ttft_ms": "ttft timetofirsttoken timetofirsttokenms firsttokenms",
    "status": "http httpstatus statuscode httpstatuscode responsecode code result outcome success state",
    "attempt": "retry retries attemptnumber try retrycount",
    "fallback_from": "fallback fallbackmodel originalmodel fellbackfrom",
    "service_tier": "tier servicetier pricingtier",
    "request_id": "requestid callid id litellmcallid traceid xrequestid",
    "requests": "requestcount calls nummodelrequests count numrequests apirequests n",
    "failed_requests": "failed failedcount errors errorcount failedcalls apifailedrequests",
    "gpu_seconds": "gpuseconds gputime allocatedgpuseconds",
    "gpu_busy_seconds": "gpubusyseconds busygpuseconds",
    "cost": "spend amount costusd totalcost price responsecost",
    "currency": "currencycode billingcurrency",
}
SYNONYMS: Final = {name: tuple(words.split()) for name, words in _NAMES.items()}
NUMERIC: Final = {
    *fields.TOKEN_FIELDS,
    "latency_ms",
    "ttft_ms",
    *fields.IN_SECONDS,
    "attempt",
    "requests",
    "failed_requests",
    "gpu_seconds",
    "gpu_busy_seconds",
    "cost",
}


OF_SUMS: Final = {
    "requests",
    "failedrequests",
    "gpuseconds",
    "periodstart",
    *SYNONYMS["requests"],
    *SYNONYMS["period_end"],
} - {"n", "to", "end"}
STATUS: Final = rf"[1-5][0-9]{{2}}(\.0)?$|({'|'.join((*fields.DELIVERED_WORDS, *fields.FAILED_WORDS))})$"


@dataclass(frozen=True, slots=True)
class Guess:
    """The field that a column probably is, how sure that is (0 to 1), and what speaks for it or is to be minded."""

    field: str
    confidence: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    values: list[str] = field(default_factory=list)
    guess: Guess | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a file seems to be. `missing` are mandatory fields without a column; `rows` the first ones as text."""

    kind: str
    format: str
    encoding: str
    delimiter: str
    packed: bool
    columns: list[Column]
    rows: list[list[str]]
    rows_estimate: int
    missing: list[str]
    time_unit: str
    needs_origin: bool
    zone_open: bool
    notes: list[str]

    @property
    def mapping(self) -> dict[str, str]:
        """Field to column, as a job takes it; doubtful guesses are left to the person who looks."""
        return {g.field: column.name for column in self.columns if (g := column.guess) and g.confidence > POSSIBLE}


def preview(
    path: Path,
    guards: Guards | None = None,
    format: str | None = None,  # noqa: A002 - the word of the job and of the command line
) -> Preview:
    """Look at the first rows of a file; `format` settles what would else be guessed. Raises FileError."""
    with tempfile.TemporaryDirectory(prefix="preview-") as folder:
        layout = look_at(path, Path(folder), guards or Guards())
        rows = list(islice(_rows(layout), SAMPLE_ROWS))
    if not rows:
        raise FileError(f"{path.name} has no data: a header line and no row.", "Export it again with its rows.")
    found = format or _format(layout.columns)
    values = [[row[place] for row in rows if row[place]] for place in range(len(layout.columns))]
    columns = _guessed(found, layout.columns, values)
    return _preview(layout, found, columns, dict(zip(layout.columns, values, strict=True)), rows)


def _preview(
    layout: Layout, found: str, columns: list[Column], values: dict[str, list[str]], rows: list[list[str]]
) -> Preview:
    named = {column.guess.field: column.name for column in columns if column.guess}
    when = values.get(named.get(fields.TIME_FIELDS[found][0], ""), [])
    unit, needs_origin = _time_unit(found, named, when)
    missing = [name for name in fields.MANDATORY[found] if name not in named]
    return Preview(
        kind=layout.kind,
        format=found,
        encoding=layout.encoding,
        delimiter=layout.delimiter if layout.kind == CSV else "",
        packed=layout.gzip,
        columns=columns,
        rows=[[value[:LONGEST_VALUE] for value in row] for row in rows[:SHOWN_ROWS]],
        rows_estimate=max(layout.rows, len(rows)),
        missing=missing,
        time_unit=unit,
        needs_origin=needs_origin,
        zone_open=_zone_open(layout, named, found, unit, when),
        notes=_notes(named, values, missing),
    )


def _rows(layout: Layout) -> Iterator[list[str]]:
    """The rows of the file as text, in its order."""
    if layout.kind == PARQUET:
        yield from _parquet_rows(layout)
        return
    with opened(layout) as lines:
        if layout.kind == CSV:
            for _ in range(layout.skip):
                next(lines, "")
            for row in csv.reader(lines, delimiter=layout.delimiter):
                if row:
                    yield [*row[: len(layout.columns)], *[""] * (len(layout.columns) - len(row))]
        else:
            yield from (_json_row(line, layout.columns) for line in lines if line.strip())


def _parquet_rows(layout: Layout) -> Iterator[list[str]]:
    with pq.ParquetFile(layout.path) as file:
        for batch in file.iter_batches(SAMPLE_ROWS):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield [_shown(value) for value in row]


def _json_row(line: str, columns: Sequence[str]) -> list[str]:
    try:
        found = json.loads(line)
    except ValueError:
        found = {}
    return [_shown(_step(found, column)) for column in columns]


def _step(found: object, column: str) -> object:
    if not isinstance(found, dict):
        return None
    if column in found:
        return found[column]
    outer, _, inner = column.partition(".")
    return _step(found.get(outer), inner) if inner else None


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value, default=str) if isinstance(value, dict | list | bool) else str(value)


def _format(columns: Sequence[str]) -> str:
    """Bill, sums or single calls, by the columns that only one of them has."""
    if "ChargePeriodStart" in columns and len(set(columns) & set(fields.FOCUS_COLUMNS)) >= NAMED_AS_FOCUS:
        return fields.FOCUS
    plain = {_plain(column) for column in columns}
    return fields.USAGE if plain & OF_SUMS and "latencyms" not in plain else fields.REQUESTS


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9@]", "", name.lower())


def _guessed(found: str, names: Sequence[str], values: list[list[str]]) -> list[Column]:
    """Give each field the column that fits best; a column stands for one field only."""
    known = fields.FIELDS.get(found, fields.FOCUS_COLUMNS)
    candidates = [
        (guess, place)
        for place, name in enumerate(names)
        for wanted in known
        if (guess := _fit(wanted, name, values[place]))
    ]
    candidates.sort(key=lambda candidate: -candidate[0].confidence)
    taken: dict[int, Guess] = {}
    given: set[str] = set()
    for guess, place in candidates:
        if place not in taken and guess.field not in given:
            taken[place] = replace(guess, confidence=round(guess.confidence, 2))
            given.add(guess.field)
    return [
        Column(name, [value[:LONGEST_VALUE] for value in values[place][:SHOWN_VALUES]], taken.get(place))
        for place, name in enumerate(names)
    ]


def _fit(wanted: str, name: str, values: list[str]) -> Guess | None:
    """How well a column fits a field, by its name first and by what stands in it second."""
    plain, last = _plain(name), _plain(name.rsplit(".", 1)[-1])
    synonyms = SYNONYMS.get(wanted, ())
    if plain == _plain(wanted):
        guess = Guess(wanted, 1.0, "same name")
    elif plain in synonyms or last in synonyms or last == _plain(wanted):
        place = synonyms.index(plain) if plain in synonyms else synonyms.index(last) if last in synonyms else 0
        guess = Guess(wanted, SURE - 0.4 * place / max(len(synonyms), 1), f"'{name}' is a usual name for it")
    else:
        return None
    return _checked(guess, values)


def _checked(guess: Guess, values: list[str]) -> Guess | None:
    """Lower or drop a guess whose values do not fit the field."""
    numeric = sum(bool(re.match(NUMBER, value)) for value in values)
    if guess.field in NUMERIC and values and numeric < len(values) / 2:
        return None
    if guess.field in ("latency_ms", "ttft_ms"):
        return _latency(guess, values)
    if guess.field == "status" and values and not any(re.match(STATUS, value.lower()) for value in values):
        return None
    if guess.field in ("time", "period_start", "period_end") and values and not _is_time(values):
        return None
    return guess


def _latency(guess: Guess, values: list[str]) -> Guess:
    """Seconds look like 0.8 or 12.5, milliseconds like 800."""
    numbers = [float(value) for value in values if re.match(NUMBER, value)]
    if numbers and max(numbers) < 600 and any("." in value for value in values) and "ms" not in guess.note.lower():
        return Guess(guess.field.replace("_ms", "_s"), 0.9 * guess.confidence, "looks like seconds")
    return guess


def _is_time(values: list[str]) -> bool:
    """Most of them are: one broken line must not hide which column it stands in."""
    shown = values[:SHOWN_ROWS]
    return 2 * sum(bool(re.match(MOMENT, value) or re.match(NUMBER, value)) for value in shown) > len(shown)


def _time_unit(found: str, named: dict[str, str], values: list[str]) -> tuple[str, bool]:
    """(unit, whether the times count from a start that the file does not say)."""
    numbers = [float(value) for value in values if re.match(NUMBER, value)]
    if found == fields.FOCUS or not numbers or len(numbers) < len(values):
        return "iso", False
    if _plain(named.get("period_start", "")) == "hour" and max(numbers) < 100_000:
        return "h", True
    if max(numbers) > 1.4e12:
        return "ms", False
    if max(numbers) > 1.4e9:
        return "s", False
    steps = all(number == int(number) for number in numbers) and max(numbers) >= 1000
    return ("ms" if steps else "s"), True


def _zone_open(layout: Layout, named: dict[str, str], found: str, unit: str, values: list[str]) -> bool:
    """Whether it must be asked in which zone the times are written."""
    if unit != "iso":
        return False
    kind = layout.types.get(named.get(fields.TIME_FIELDS[found][0], ""), "")
    if kind.startswith("timestamp"):
        return "tz=" not in kind
    return any(not re.search(ZONED, value) for value in values)


def _notes(named: dict[str, str], values: dict[str, list[str]], missing: list[str]) -> list[str]:
    notes = []
    key = _plain(named.get("usage_key", ""))
    if any(re.match(r"sk-[A-Za-z0-9]{16,}", value) for value in values.get(named.get("usage_key", ""), [])):
        notes.append("The key column seems to hold secrets of a provider; map an alias or a hash of the key instead.")
    if key in ("user", "userid", "enduser"):
        notes.append("Users are people: a key, a team or a project is the better spender where there is one.")
    if missing:
        notes.append(f"Nothing stands for {', '.join(missing)}: choose a column, or give one value to all rows.")
    return notes
