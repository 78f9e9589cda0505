"""Who may do what at which address: part 3 of the design, an address a line.

The test beside this file walks the URL conf, so an address that is missing here fails it. Each entry says for GET and
for POST what those who may get; everybody else gets `others`: 404 where the address names an object, so that nobody
learns what exists, 403 where it names none. Somebody who is not logged in is sent to the log-in page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.rights.cast import Who

Group = frozenset[Who]

EVERYBODY = frozenset(Who)
MEMBERS = EVERYBODY - {Who.VISITOR}
ENGINEERS = frozenset({Who.ENGINEER, Who.ENGINEER_ELSEWHERE})
ANALYSTS = frozenset({Who.ANALYST, Who.ANALYST_ELSEWHERE})
ADMINISTRATOR = frozenset({Who.ADMINISTRATOR})
READ_ALL = frozenset({Who.AUDITOR, Who.ADMINISTRATOR})
OWNER = frozenset({Who.OWNER})

# The columns of the design's table.
SEES_MONEY_OF_IT = OWNER | {Who.ENGINEER, Who.ANALYST, Who.APPROVER, Who.REVIEWER} | READ_ALL
SEES_ANY_MONEY = MEMBERS - {Who.MEMBER}
EDITS_IT = OWNER
REPORTS_IT = OWNER | {Who.ANALYST, Who.ADMINISTRATOR}
SEES_GRADES = ANALYSTS | ADMINISTRATOR
DECIDES_IT = frozenset({Who.APPROVER})
SETS_BUDGET = OWNER | {Who.ANALYST, Who.ADMINISTRATOR}
SEES_SOURCES = ENGINEERS | ANALYSTS | READ_ALL
MANAGES_SOURCES = SEES_SOURCES - {Who.AUDITOR}
SEES_RATES = ANALYSTS | READ_ALL
EDITS_RATES = SEES_RATES - {Who.AUDITOR}
SEES_UNALLOCATED, ALLOCATES = SEES_RATES, EDITS_RATES
SEES_PEOPLE = READ_ALL
REVIEWERS = frozenset({Who.REVIEWER, Who.REVIEWER_ELSEWHERE})
PREPARES = ANALYSTS | REVIEWERS
# Owners take part with what is theirs.
TAKES_PART = PREPARES | {Who.APPROVER, Who.APPROVER_ELSEWHERE, Who.OWNER, Who.OWNER_ELSEWHERE} | READ_ALL
SEES_ITEM = SEES_MONEY_OF_IT - {Who.ENGINEER}


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` for those who `may`, `others` for the rest, `also` for single exceptions; `data` is what is posted."""

    status: int
    may: Group
    others: int = 403
    also: Mapping[Who, int] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)

    def of(self, who: Who) -> int:
        return self.status if who in self.may else self.also.get(who, self.others)


@dataclass(frozen=True, slots=True)
class Address:
    """`arguments` maps the URL's parameters to objects of tests/rights/cast.py, or gives them as they are.

    `files` are downloads behind ?format=, for the same people as the page.
    """

    get: Answer | None = None
    post: Answer | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    files: tuple[str, ...] = ()


def page(may: Group, *, files: tuple[str, ...] = (), query: str = "") -> Address:
    """A page without an object in its address."""
    return Address(get=Answer(200, may), files=files, query=query)


def deed(may: Group, status: int, data: Mapping[str, Any] | None = None, **more: Any) -> Answer:
    """What a POST does; 404 for the others, since most deeds are about an object."""
    return Answer(status, may, **{"others": 404, "data": data or {}, **more})


def of(may: Group, status: int = 200, **also: int) -> Answer:
    """A page about an object."""
    return Answer(status, may, others=404, also={Who[name.upper()]: code for name, code in also.items()})


PUBLIC = Address(get=Answer(200, EVERYBODY))
NOT_HERE = Address(get=Answer(404, EVERYBODY), post=Answer(404, EVERYBODY))
A_DAY = {"valid_from": "2026-10-01", "reason": "A test"}
OCTOBER = "month=2026-10"
WORKLOAD = {"slug": "workload"}
OFFERING = {"pk": "offering"}
CONFIRMATION = {"pk": "confirmation"}
SOURCE = {"slug": "source"}
REVIEW = {"month": "review"}
PULL = {"pk": "pull"}
CARD = {"name": "Renamed", "purpose": "x", "output_unit": "answer"}
# Seen by the auditor, who changes nothing: the object is known, so this is a 403.
NOT_THE_AUDITOR = {Who.AUDITOR: 403}
# Visible to every member, but not theirs to change.
SEEN = 403

TABLE: dict[str, Address] = {
    # --- Everybody's pages
    "home": page(MEMBERS),
    "search": page(MEMBERS, query="q=canary"),
    "guides:guide": Address(get=Answer(200, MEMBERS), arguments={"name": "owners"}),
    "theme": Address(post=Answer(302, EVERYBODY, data={"theme": "dark"})),
    "settings:overview": Address(get=Answer(200, MEMBERS), post=Answer(400, ADMINISTRATOR, data={"name": ""})),
    # --- The register
    "workloads:list": page(MEMBERS, files=("csv", "xlsx")),
    "workloads:why": Address(get=Answer(200, SEES_ANY_MONEY), arguments={"figure": "value"}, query=OCTOBER),
    "workloads:detail": Address(get=of(MEMBERS), arguments=WORKLOAD),
    "workloads:save_view": Address(post=Answer(302, MEMBERS, data={"name": "Mine", "query": "q=x"})),
    "workloads:delete_view": Address(post=deed(OWNER, 302), arguments={"pk": "view"}),
    "workloads:new": Address(get=Answer(302, MEMBERS)),
    "workloads:register": Address(
        get=of(OWNER | ADMINISTRATOR),
        post=deed(OWNER | ADMINISTRATOR, 422),
        arguments={"token": "draft_token", "number": 1},
    ),
    "workloads:autosave": Address(
        post=deed(OWNER | ADMINISTRATOR, 200, {"name": "Typed"}), arguments={"token": "draft_token", "number": 1}
    ),
    "workloads:answer_duplicate": Address(
        post=deed(OWNER | ADMINISTRATOR, 302, {"other": "care-summaries"}), arguments={"token": "draft_token"}
    ),
    "workloads:discard": Address(post=deed(OWNER | ADMINISTRATOR, 302), arguments={"token": "draft_token"}),
    # Everybody registers; each row of the file is asked about by itself.
    "workloads:import": Address(get=Answer(200, MEMBERS), post=Answer(422, MEMBERS)),
    "workloads:import_apply": Address(post=Answer(400, MEMBERS)),
    "workloads:import_template": Address(get=Answer(200, MEMBERS), arguments={"kind": "workloads"}),
    "workloads:resume": Address(get=of(OWNER | ADMINISTRATOR, 302), arguments={"slug": "draft"}),
    # Others are led to the card.
    "workloads:registered": Address(get=Answer(200, SEES_MONEY_OF_IT, others=302), arguments=WORKLOAD),
    "workloads:edit": Address(
        get=Answer(200, EDITS_IT, others=SEEN), post=deed(EDITS_IT, 422, CARD, others=SEEN), arguments=WORKLOAD
    ),
    # --- What it is worth, and what came out
    "value:page": Address(get=of(SEES_MONEY_OF_IT), arguments=WORKLOAD, query=OCTOBER),
    "value:edit": Address(get=of(EDITS_IT), post=deed(EDITS_IT, 422), arguments=WORKLOAD, query=OCTOBER),
    "value:preview": Address(post=deed(EDITS_IT, 200), arguments=WORKLOAD),
    "value:end": Address(
        post=deed(EDITS_IT, 302, {"reason": "A test"}), arguments={**WORKLOAD, "version": "case_version"}
    ),
    "value:evidence": Address(get=of(SEES_MONEY_OF_IT), arguments={**WORKLOAD, "pk": "evidence"}),
    "worth:why": Address(
        get=of(SEES_MONEY_OF_IT), arguments={**WORKLOAD, "figure": "cost"}, files=("csv",), query=OCTOBER
    ),
    "outcomes:month": Address(get=of(SEES_MONEY_OF_IT), arguments=WORKLOAD, files=("csv", "xlsx"), query=OCTOBER),
    "outcomes:record": Address(post=deed(REPORTS_IT, 422, others=SEEN), arguments=WORKLOAD),
    "outcomes:declare": Address(post=deed(REPORTS_IT, 422, others=SEEN), arguments=WORKLOAD),
    "outcomes:withdraw": Address(
        post=deed(REPORTS_IT, 302, others=SEEN), arguments={**WORKLOAD, "pk": "outcome"}, query="month=2026-09"
    ),
    "thresholds:edit": Address(get=Answer(200, ADMINISTRATOR), post=Answer(422, ADMINISTRATOR)),
    "grades:list": page(SEES_GRADES, files=("csv", "xlsx")),
    "grades:add": Address(post=Answer(422, SEES_GRADES)),
    "grades:rate": Address(post=Answer(422, SEES_GRADES), arguments={"pk": "grade"}),
    "workloads:mandate": Address(post=deed(EDITS_IT, 422, others=SEEN), arguments=WORKLOAD),
    "workloads:take_up": Address(post=deed(EDITS_IT, 422, others=SEEN), arguments=WORKLOAD),
    "workloads:promise": Address(
        get=Answer(200, EDITS_IT, others=SEEN), post=deed(EDITS_IT, 422, others=SEEN), arguments=WORKLOAD
    ),
    "workloads:bindings": Address(
        get=Answer(200, SEES_MONEY_OF_IT | SEES_UNALLOCATED, others=SEEN), arguments=WORKLOAD
    ),
    "workloads:add_binding": Address(post=deed(ALLOCATES, 302, {"keys": "key=fresh"}, others=SEEN), arguments=WORKLOAD),
    "workloads:end_binding": Address(
        post=deed(ALLOCATES, 302, also=dict.fromkeys(SEES_MONEY_OF_IT - ALLOCATES, 403)),
        arguments={**WORKLOAD, "pk": "binding"},
    ),
    # --- What waits for somebody else: seen with the workload's money, decided by the approver of its cost centre.
    # The sessions here gave no password, so that whoever may decide is asked for it first.
    "inbox:list": page(MEMBERS, files=("csv", "xlsx")),
    "inbox:detail": Address(get=of(SEES_MONEY_OF_IT), arguments=CONFIRMATION),
    "inbox:confirm": Address(
        post=deed(DECIDES_IT, 302, also=dict.fromkeys(SEES_MONEY_OF_IT - DECIDES_IT, 403)), arguments=CONFIRMATION
    ),
    "inbox:refuse": Address(
        post=deed(DECIDES_IT, 302, {"reason": "x"}, also=dict.fromkeys(SEES_MONEY_OF_IT - DECIDES_IT, 403)),
        arguments=CONFIRMATION,
    ),
    "inbox:withdraw": Address(
        post=deed(EDITS_IT, 302, also=dict.fromkeys(SEES_MONEY_OF_IT - EDITS_IT, 403)), arguments=CONFIRMATION
    ),
    # --- Money
    "costs:overview": Address(get=Answer(200, SEES_ANY_MONEY), files=("csv", "xlsx"), query="month=2026-10"),
    "budgets:list": Address(get=Answer(200, SEES_ANY_MONEY), files=("csv", "xlsx"), query="month=2026-10"),
    "budgets:why": Address(get=Answer(200, SEES_ANY_MONEY), arguments={"figure": "spent"}, query=OCTOBER),
    "budgets:workload": Address(
        get=of(SEES_MONEY_OF_IT),
        post=deed(SETS_BUDGET, 422, {"amount": "x"}, also=dict.fromkeys(SEES_MONEY_OF_IT - SETS_BUDGET, 403)),
        arguments=WORKLOAD,
    ),
    "budgets:centre": Address(
        get=of(SEES_MONEY_OF_IT - OWNER),
        post=deed(
            SETS_BUDGET - OWNER,
            422,
            {"amount": "x"},
            also=dict.fromkeys(SEES_MONEY_OF_IT - SETS_BUDGET - OWNER, 403),
        ),
        arguments={"pk": "centre"},
    ),
    "why:figure": Address(
        get=Answer(200, SEES_ANY_MONEY), arguments={"name": "cost"}, files=("csv", "xlsx"), query="month=2026-10"
    ),
    "unallocated:list": page(SEES_UNALLOCATED, files=("csv", "xlsx"), query="month=2026-10"),
    "unallocated:workloads": page(ALLOCATES, query="workload=care"),
    "unallocated:bind": Address(
        get=of(ALLOCATES, auditor=403), post=deed(ALLOCATES, 422, also=NOT_THE_AUDITOR), arguments={"pk": "identity"}
    ),
    # --- Where usage comes from
    "sources:list": page(SEES_SOURCES),
    "sources:new": page(MANAGES_SOURCES),
    "sources:make": Address(
        get=Answer(200, MANAGES_SOURCES), post=Answer(422, MANAGES_SOURCES), arguments={"kind": "folder"}
    ),
    "sources:detail": Address(get=of(SEES_SOURCES), arguments=SOURCE),
    "sources:edit": Address(
        get=of(MANAGES_SOURCES, auditor=403), post=deed(MANAGES_SOURCES, 422, also=NOT_THE_AUDITOR), arguments=SOURCE
    ),
    "sources:pull": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=SOURCE),
    "sources:check": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=SOURCE),
    "sources:pause": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=SOURCE),
    "sources:resume": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=SOURCE),
    "sources:role": Address(post=deed(MANAGES_SOURCES, 422, also=NOT_THE_AUDITOR), arguments=SOURCE),
    "imports:list": page(SEES_SOURCES, files=("csv", "xlsx")),
    "imports:new": Address(get=Answer(200, MANAGES_SOURCES), post=Answer(422, MANAGES_SOURCES)),
    "imports:show": Address(get=of(SEES_SOURCES), arguments=PULL),
    "imports:columns": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=PULL),
    "imports:progress": Address(get=of(SEES_SOURCES), arguments={"pk": "running_pull"}),
    "imports:cancel": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments={"pk": "running_pull"}),
    "imports:retry": Address(post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=PULL),
    "imports:undo": Address(
        get=of(MANAGES_SOURCES, auditor=403), post=deed(MANAGES_SOURCES, 302, also=NOT_THE_AUDITOR), arguments=PULL
    ),
    # Of its money, see tests/web/test_imports_why.py.
    "imports:why": Address(get=of(SEES_SOURCES), arguments={**PULL, "name": "requests"}, files=("csv", "xlsx")),
    "imports:rejected": Address(get=of(SEES_SOURCES), arguments={"pk": "rejected_pull"}),
    # --- Prices
    "rates:list": page(SEES_RATES, files=("csv", "xlsx")),
    "rates:fx": Address(get=Answer(200, SEES_RATES), post=Answer(422, EDITS_RATES), files=("csv", "xlsx")),
    "rates:bands": page(SEES_RATES, files=("csv", "xlsx")),
    "rates:band": Address(get=Answer(200, ADMINISTRATOR), post=Answer(422, ADMINISTRATOR), arguments={"code": "batch"}),
    "rates:refresh": Address(post=Answer(302, EDITS_RATES)),
    "rates:offering": Address(get=of(SEES_RATES), arguments=OFFERING),
    "rates:add": Address(
        get=of(EDITS_RATES, auditor=403), post=deed(EDITS_RATES, 422, also=NOT_THE_AUDITOR), arguments=OFFERING
    ),
    "rates:listed": Address(post=deed(EDITS_RATES, 422, also=NOT_THE_AUDITOR), arguments=OFFERING),
    "rates:class": Address(
        post=deed(EDITS_RATES, 302, {**A_DAY, "model_class": "premium"}, also=NOT_THE_AUDITOR), arguments=OFFERING
    ),
    "rates:hosting": Address(
        post=deed(EDITS_RATES, 302, {"hosted": "own", "accelerator": "H100"}, also=NOT_THE_AUDITOR), arguments=OFFERING
    ),
    "rates:correct": Address(
        get=of(EDITS_RATES, auditor=403), post=deed(EDITS_RATES, 422, also=NOT_THE_AUDITOR), arguments={"pk": "rate"}
    ),
    "rates:end": Address(
        get=of(EDITS_RATES, auditor=403),
        post=deed(EDITS_RATES, 302, {"last_day": "2027-12-31", "reason": "A test"}, also=NOT_THE_AUDITOR),
        arguments={"pk": "rate"},
    ),
    # --- People and cost centres
    "people:list": page(SEES_PEOPLE, files=("csv", "xlsx")),
    "people:invite": Address(get=Answer(200, ADMINISTRATOR), post=Answer(400, ADMINISTRATOR)),
    "people:detail": Address(get=of(SEES_PEOPLE | {Who.OWNER}), arguments={"pk": "owner"}),
    "people:rename": Address(
        post=deed(ADMINISTRATOR | {Who.OWNER}, 302, {"name": "Renamed"}, also={Who.AUDITOR: 403}),
        arguments={"pk": "owner"},
    ),
    "people:resend": Address(post=deed(ADMINISTRATOR, 302, also=NOT_THE_AUDITOR), arguments={"pk": "invited"}),
    "people:withdraw": Address(post=deed(ADMINISTRATOR, 302, also=NOT_THE_AUDITOR), arguments={"pk": "invited"}),
    "people:grant": Address(
        post=deed(ADMINISTRATOR, 302, {"role": "auditor"}, also={Who.MEMBER: 403, Who.AUDITOR: 403}),
        arguments={"pk": "member"},
    ),
    "people:end-grant": Address(
        post=deed(ADMINISTRATOR, 302, also=NOT_THE_AUDITOR), arguments={"pk": "granted", "grant_pk": "member_grant"}
    ),
    # Nobody passes on the role of somebody else; the owner holds none that could be passed on.
    "people:pass-on": Address(
        post=deed(OWNER, 400, {"last_day": "2026-12-01"}, also={Who.AUDITOR: 403, Who.ADMINISTRATOR: 403}),
        arguments={"pk": "owner"},
    ),
    "people:deactivate": Address(
        post=deed(ADMINISTRATOR, 302, also={Who.MEMBER: 403, Who.AUDITOR: 403}), arguments={"pk": "member"}
    ),
    "people:erase": Address(
        post=deed(ADMINISTRATOR, 302, also={Who.MEMBER: 403, Who.AUDITOR: 403}), arguments={"pk": "member"}
    ),
    "cost_centres:list": Address(get=Answer(200, SEES_PEOPLE), post=Answer(400, ADMINISTRATOR)),
    "cost_centres:detail": Address(
        get=Answer(200, SEES_PEOPLE), post=Answer(400, ADMINISTRATOR), arguments={"pk": "centre"}
    ),
    "cost_centres:activity": Address(post=Answer(302, ADMINISTRATOR), arguments={"pk": "centre"}),
    "tokens:list": Address(get=Answer(200, MANAGES_SOURCES | READ_ALL), post=Answer(400, MANAGES_SOURCES | READ_ALL)),
    "tokens:revoke": Address(post=deed(ADMINISTRATOR | OWNER, 302, also=NOT_THE_AUDITOR), arguments={"pk": "token"}),
    # --- The monthly review
    "reviews:list": page(TAKES_PART, files=("csv", "xlsx")),
    "reviews:open": Address(post=Answer(302, PREPARES, data={"month": "2026-10"})),
    "reviews:show": Address(get=of(TAKES_PART), arguments=REVIEW),
    "reviews:item": Address(
        get=of(SEES_ITEM),
        post=deed(frozenset({Who.REVIEWER}), 422, also=dict.fromkeys(SEES_ITEM - {Who.REVIEWER}, 403)),
        arguments={**REVIEW, "pk": "item"},
    ),
    "reviews:attend": Address(post=deed(TAKES_PART, 302), arguments=REVIEW),
    "reviews:lead": Address(
        post=deed(REVIEWERS, 302, {"version": "1"}, also=dict.fromkeys(TAKES_PART, 403)), arguments=REVIEW
    ),
    "reviews:waive": Address(
        post=deed(PREPARES, 302, {"blocker": "items", "reason": "A test"}, also=dict.fromkeys(TAKES_PART, 403)),
        arguments=REVIEW,
    ),
    # A month is signed as a whole, and these reviewers are for a part.
    "reviews:sign": Address(post=deed(frozenset(), 302, also=dict.fromkeys(TAKES_PART, 403)), arguments=REVIEW),
    "reviews:reopen": Address(
        post=deed(PREPARES, 302, {"reason": "A test"}, also=dict.fromkeys(TAKES_PART, 403)), arguments=REVIEW
    ),
    "reviews:news": Address(get=of(TAKES_PART), arguments=REVIEW),
    "reviews:action": Address(get=of(SEES_ITEM), arguments={"pk": "action"}),
    "reviews:close-action": Address(
        post=deed(
            frozenset({Who.REVIEWER, Who.OWNER}), 422, also=dict.fromkeys(SEES_ITEM - {Who.REVIEWER, Who.OWNER}, 403)
        ),
        arguments={"pk": "action"},
    ),
    "reviews:hand-over": Address(
        post=deed(frozenset({Who.REVIEWER}), 422, also=dict.fromkeys(SEES_ITEM - {Who.REVIEWER}, 403)),
        arguments={"pk": "action"},
    ),
    "reviews:figures": Address(get=of(TAKES_PART), arguments=REVIEW),
    "reviews:attest": Address(
        post=deed(OWNER, 302, also=dict.fromkeys(TAKES_PART, 403)), arguments={**REVIEW, "slug": "workload"}
    ),
    "reviews:minutes": Address(get=of(READ_ALL), arguments=REVIEW, files=("csv", "xlsx")),
    "reviews:difference": Address(get=of(frozenset()), arguments=REVIEW),
    "reviews:statement": Address(
        get=of(SEES_MONEY_OF_IT - OWNER), arguments={"pk": "centre"}, query="month=2026-10", files=("csv", "xlsx")
    ),
    # --- The trail
    "audit:list": page(MEMBERS, files=("csv",)),
    "audit:prove": Address(post=Answer(302, READ_ALL)),
    # --- Setting up is over
    "setup:organisation": Address(get=Answer(409, EVERYBODY), post=Answer(409, EVERYBODY)),
    "setup:administrator": Address(get=Answer(409, EVERYBODY), post=Answer(409, EVERYBODY)),
    "setup:second-person": Address(get=Answer(200, ADMINISTRATOR), post=Answer(400, ADMINISTRATOR)),
    "setup:skip": Address(post=Answer(400, ADMINISTRATOR)),
    "setup:first-file": page(MANAGES_SOURCES),
    # --- The door
    "accounts:invitation": Address(
        get=Answer(200, EVERYBODY), post=Answer(400, EVERYBODY), arguments={"secret": "invitation"}
    ),
}
