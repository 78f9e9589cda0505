"""Home: what waits for the person who looks, when, and how much money hangs on it. Never without a next step."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from django.contrib.auth.decorators import login_required
from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.rights import Right, rights_of
from apps.approvals.selectors import act_for, waiting_for
from apps.budgets.selectors import Burn, burns, this_month
from apps.core import organisation
from apps.core.actor import Actor
from apps.costs import selectors
from apps.costs.limits import unallocated_limit
from apps.costs.selectors import BilledMonth, CostRow, CostScope, CostTotals, Grouping, figure_state
from apps.costs.selectors.waiting import unclaimed_keys, unpriced_models
from apps.reviews.models import Cycle
from apps.sources.models import Pull, Source
from apps.sources.selectors import SourceRow, source_rows
from apps.web import figures
from apps.web.compared import lack_of, moved_of_all
from apps.web.cost_scope import why_address
from apps.web.costs import residual_of
from apps.web.home_parts import GROUPS, MOST_OF_A_KIND, Check, Group, Looker, NextStep, Task
from apps.web.home_reviews import open_cycles, review_tasks, sign_off
from apps.web.home_worth import MonthWorth, costs_of, last_month, month_worth, worth_tasks
from apps.web.pages import PageRequest, page_or_part
from apps.web.period import PeriodChoice, period_of
from apps.web.portfolio import worth_sum_address
from apps.workloads.models import Workload
from apps.workloads.selectors import drafts_of, orphans

REJECTED_FOR: Final = timedelta(days=14)
SOURCES_SHOWN: Final = 6
OWN_SHOWN: Final = 8


@login_required
@require_GET
def home(request: PageRequest) -> HttpResponse:
    period = period_of(request)
    looker = _looker(request.actor, period)
    cycles = open_cycles(looker)
    tasks = [task for tasks in _KINDS for task in tasks(looker)]
    tasks = sorted([*tasks, *review_tasks(looker, cycles)], key=lambda task: task.order)
    context = {
        "today": timezone.localdate(),
        "groups": [(group, [task for task in tasks if task.group == group]) for group in GROUPS],
        "counted": _counted(tasks),
        "step": _next_step(looker) if not tasks else None,
        "register_href": reverse("workloads:new"),
        **_side(looker, cycles),
    }
    return page_or_part(request, "home/index.html", "waiting", context)


def _looker(actor: Actor, period: PeriodChoice) -> Looker:
    before = (period.before.start, period.before.end)
    totals = selectors.cost_totals(actor=actor, scope=CostScope(period.start, period.end), before=before)
    company = organisation.get()
    return Looker(actor, rights_of(actor), period, company.currency, unallocated_limit(company), totals)


def _counted(tasks: Sequence[Task]) -> str:
    """9 things: 3 for today, 4 this week, 2 later."""
    words: dict[Group, str] = {"Today": "for today", "This week": "this week", "Later": "later"}
    parts = [f"{n} {words[group]}" for group in GROUPS if (n := sum(task.group == group for task in tasks))]
    if not parts:
        return "Nothing waits."
    return f"{len(tasks)} thing{'' if len(tasks) == 1 else 's'}: {', '.join(parts)}."


# --- What waits -------------------------------------------------------------------------------------------------------


def _imports(looker: Looker) -> Iterator[Task]:
    """Imports that stopped, wait for their columns, or left rows behind."""
    if not looker.rights.may(Right.MANAGE_SOURCES):
        return
    newest = Pull.objects.filter(part=OuterRef("part")).exclude(state=Pull.State.DRAFT).order_by("-pk").values("pk")[:1]
    pulls = Pull.objects.visible_to(looker.actor).select_related("part__source")
    failed = pulls.filter(state=Pull.State.FAILED, pk=Subquery(newest)).order_by("-pk")
    drafts = pulls.filter(state=Pull.State.DRAFT, requested_by=looker.actor.person_id).order_by("-pk")
    since = timezone.now() - REJECTED_FOR
    left = pulls.filter(state=Pull.State.DONE, pk=Subquery(newest), finished_at__gte=since, totals__rows_rejected__gt=0)
    yield from (_failed_import(pull) for pull in failed[:MOST_OF_A_KIND])
    yield from (_unfinished_import(pull) for pull in drafts[:MOST_OF_A_KIND])
    yield from (_rejected_rows(pull) for pull in left.order_by("-pk")[:MOST_OF_A_KIND])


def _failed_import(pull: Pull) -> Task:
    return Task(
        "Today",
        "file-alert",
        f"Import failed: {pull.part.name}",
        figures.first_sentence(pull.error) or "It stopped without a reason.",
        reverse("imports:show", args=[pull.pk]),
        "See why",
        money_note="nothing was read",
        due=figures.ago(pull.finished_at),
        due_tone="bad",
    )


def _unfinished_import(pull: Pull) -> Task:
    return Task(
        "Today",
        "columns",
        f"Check the columns of {pull.part.name}",
        "You uploaded it; nothing is read before you say so.",
        reverse("imports:show", args=[pull.pk]),
        "Go on",
        due=figures.ago(pull.requested_at),
    )


def _rejected_rows(pull: Pull) -> Task:
    rejected, read = pull.totals.get("rows_rejected"), pull.totals.get("rows_read")
    return Task(
        "This week",
        "file-broken",
        "Import finished with rejected rows",
        f"{figures.count(rejected)} of {figures.count(read)} rows of",
        reverse("imports:show", args=[pull.pk]),
        "See rows",
        money_note="not counted",
        due=figures.ago(pull.finished_at),
        code=pull.part.name,
        after=" were not read.",
    )


def _sources(looker: Looker) -> Iterator[Task]:
    """Sources that cannot be read: their figures are missing from everything."""
    if not looker.rights.may(Right.MANAGE_SOURCES):
        return
    newest = Pull.objects.filter(part__source=OuterRef("pk")).exclude(state=Pull.State.DRAFT).order_by("-pk")
    broken = Source.objects.visible_to(looker.actor).filter(state=Source.State.NEEDS_ATTENTION)
    # A source that needs attention because an import failed waits as that import.
    broken = broken.alias(last=Coalesce(Subquery(newest.values("state")[:1]), Value(""))).exclude(
        last=Pull.State.FAILED
    )
    for source in broken[:MOST_OF_A_KIND]:
        yield Task(
            "Today",
            "plug-connected-x",
            f"{source.name} cannot be read",
            figures.first_sentence(source.state_reason) or "It does not answer.",
            reverse("sources:detail", args=[source.slug]),
            "Look into it",
            money_note="figures are missing",
            due=figures.ago(source.last_looked_at) if source.last_looked_at else "Now",
            due_tone="bad",
        )


def _unallocated(looker: Looker) -> Iterator[Task]:
    """Keys that nobody claims, once they are over the limit of the full cost, or once nobody knows what they cost."""
    share, cost = _unallocated_share(looker.totals), looker.totals.unallocated.cost
    is_within = share is not None and share <= looker.unallocated_limit
    if not looker.rights.may(Right.ALLOCATE) or not looker.totals.unallocated.lines or is_within:
        return
    keys = unclaimed_keys(actor=looker.actor, first=looker.period.start, end=looker.period.end)
    yield Task(
        "This week",
        "help-hexagon",
        f"{_number(keys.count, 'usage key')} belong{'s' if keys.count == 1 else ''} to nobody",
        f"{_share_words(looker, share)} The largest is",
        f"{reverse('unallocated:list')}?{looker.period.query}",
        "Bind keys",
        money=figures.money(cost, looker.currency),
        money_note=f"in {looker.period.label}",
        due="Before sign-off",
        code=keys.largest,
        stake=cost or Decimal(0),
    )


def _share_words(looker: Looker, share: Decimal | None) -> str:
    if share is None:
        return "What they cost is unknown and not zero."
    before = (
        _ratio(looker.totals.unallocated_before, looker.totals.before)
        if not lack_of(looker.totals, looker.period)
        else None
    )
    moved = f", {'up' if before < share else 'down'} from {figures.percent(before)}" if before else ""
    limit = figures.percent_short(looker.unallocated_limit)
    return f"{figures.percent(share)} of full cost{moved}; the limit is {limit}."


def _unpriced(looker: Looker) -> Iterator[Task]:
    """Models without a price: what they cost is unknown until somebody says."""
    if not looker.rights.may(Right.EDIT_RATES):
        return
    models = unpriced_models(first=looker.period.start, end=looker.period.end)
    if models.count:
        yield Task(
            "This week",
            "tag-off",
            f"{models.count} model{' has' if models.count == 1 else 's have'} no price",
            "What they cost is unknown and not zero. The largest is",
            reverse("rates:list"),
            "Give prices",
            money=f"{figures.tokens(models.tokens)}",
            money_note="tokens unpriced",
            due="Before sign-off",
            code=models.largest,
        )


def _budgets(looker: Looker) -> Iterator[Task]:
    """Budgets that the person answers for and that have passed a threshold in the month that runs."""
    owned = Workload.objects.active().filter(
        Q(budget_owner=looker.actor.person_id) | Q(business_owner=looker.actor.person_id)
    )
    names = {workload.pk: workload for workload in owned}
    found = burns(month=this_month(looker.period.today), workload_ids=names)
    passed = [(names[pk], burn) for pk, burn in found.items() if burn.is_warned]
    passed.sort(key=lambda each: each[1].direct or 0, reverse=True)
    yield from (_passed_budget(workload, burn, looker.currency) for workload, burn in passed[:MOST_OF_A_KIND])


def _passed_budget(workload: Workload, burn: Burn, currency: str) -> Task:
    used = f"{figures.percent(burn.ratio, digits=0)} of it is spent" if burn.ratio is not None else "None was granted"
    return Task(
        "Today" if burn.is_over else "This week",
        "wallet",
        f"{workload.name} is {burn.words}",
        f"You answer for its budget of {figures.money(burn.amount, currency)} a month. {used}.",
        reverse("budgets:workload", args=[workload.slug]),
        "See the budget",
        money=figures.money(burn.direct, currency),
        money_note=f"in {burn.month:%B} so far",
        due=figures.month_name(burn.month),
        due_tone="bad" if burn.is_over else "warn",
        stake=burn.direct or Decimal(0),
    )


def _orphans(looker: Looker) -> Iterator[Task]:
    """Use cases that nobody answers for, for those who can name somebody or know whom to ask."""
    may_name = looker.rights.may(Right.MANAGE_PEOPLE)
    if not (may_name or looker.rights.may(Right.ALLOCATE)):
        return
    last, found = last_month(looker), list(orphans(looker.actor))
    costs = costs_of(looker.actor, last, [workload.pk for workload in found])
    found.sort(key=lambda workload: -(costs.get(workload.pk) or 0))
    why = "Everybody who was named as its owner has left. "
    for workload in found[:MOST_OF_A_KIND]:
        cost = costs.get(workload.pk)
        yield Task(
            "This week",
            "user-question",
            f"Nobody answers for {workload.name}",
            why + ("Name new owners." if may_name else "An administrator can name new owners."),
            reverse("workloads:edit" if may_name else "workloads:detail", args=[workload.slug]),
            "Name owners" if may_name else "See it",
            money=figures.money(cost, looker.currency),
            money_note=f"cost in {last:%B}",
            due="Before sign-off",
            stake=cost or Decimal(0),
        )


def _drafts(looker: Looker) -> Iterator[Task]:
    """Use cases that the person began to register."""
    for draft in drafts_of(looker.actor)[:MOST_OF_A_KIND]:
        yield Task(
            "Later",
            "pencil",
            f"Finish registering {draft.name}",
            "A draft has no usage and nobody else sees it.",
            reverse("workloads:resume", args=[draft.slug]),
            "Go on",
            due=f"saved {figures.ago(draft.updated_at)}",
        )


def _to_confirm(looker: Looker) -> Iterator[Task]:
    """Changes that wait for this person's decision: what their use cases cost, and until when they wait."""
    found, last = waiting_for(looker.actor, limit=MOST_OF_A_KIND), last_month(looker)
    seen = [proposal.confirmation.workload_id for proposal in found]
    costs = costs_of(looker.actor, last, [pk for pk in seen if pk])
    holders = act_for(looker.actor, [proposal.confirmation for proposal in found])
    for proposal in found:
        waiting = proposal.confirmation
        holder = holders.get(waiting.pk, "")
        cost, left = costs.get(waiting.workload_id or 0), waiting.expires_at - timezone.now()
        yield Task(
            "Today" if left < timedelta(days=2) else "This week",
            proposal.icon,
            f"Decide{f' for {holder}' if holder else ''}: {proposal.title}",
            f"{proposal.name}. {waiting.asked_by.name} asks: “{waiting.reason}”",
            reverse("inbox:detail", args=[waiting.pk]),
            "Decide",
            money=figures.money(cost, looker.currency) if waiting.workload_id else "",
            money_note=f"cost in {last:%B}" if waiting.workload_id else "",
            due=f"until {figures.day_short(waiting.expires_at)}",
            due_tone="warn" if left < timedelta(days=2) else "",
            stake=cost or Decimal(0),
        )


_KINDS: Final[tuple[Callable[[Looker], Iterator[Task]], ...]] = (
    _to_confirm,
    _sources,
    _imports,
    worth_tasks,
    _budgets,
    _orphans,
    _unallocated,
    _unpriced,
    _drafts,
)


def _next_step(looker: Looker) -> NextStep:
    """What this person can do next when nothing waits for them."""
    if not looker.totals.now.lines and looker.rights.may(Right.MANAGE_SOURCES) and reverse("imports:new"):
        text = "Drop in a log of model calls or a cloud bill; a few minutes later you see what it cost."
        return NextStep("Bring the first usage in", text, "Import a file", reverse("imports:new"))
    if not Workload.objects.visible_to(looker.actor).exists():
        text = "Say in three short steps what it is for, how much it is worth and who answers for it."
        return NextStep("Register the first use case", text, "Register a use case", reverse("workloads:new"))
    if looker.sees_money:
        return NextStep(
            "Nothing waits for you",
            "See what each use of AI costs, and why.",
            "Open full cost",
            reverse("costs:overview"),
        )
    text = "Look up what others do with AI, or register what you do with it yourself."
    return NextStep("Nothing waits for you", text, "Open the portfolio", reverse("workloads:list"))


# --- Beside the list --------------------------------------------------------------------------------------------------


def _side(looker: Looker, cycles: Sequence[Cycle]) -> dict[str, object]:
    sees_sources = looker.rights.may(Right.SEE_SOURCES)
    sources = _delivering(source_rows(actor=looker.actor)) if sees_sources else []
    bills = (
        selectors.billed_months(actor=looker.actor, scope=CostScope(looker.period.start, looker.period.end))
        if looker.sees_money
        else []
    )
    worth, blocked = month_worth(looker), sign_off(looker, cycles)
    checks = blocked[1] if blocked else _checks(looker, sources, bills)
    return {
        "sees_money": looker.sees_money,
        "worth": worth,
        "facts": _facts(looker, bills, worth) if looker.sees_money else [],
        "review": blocked[0] if blocked else None,
        "full_change": looker.totals.change,
        "full_known": moved_of_all(looker.totals, looker.period) if lack_of(looker.totals, looker.period) else None,
        "checks": checks,
        "done": sum(check.is_done for check in checks),
        "blocker": next((check for check in checks if not check.is_done and check.href), None),
        "sources": sources[:SOURCES_SHOWN],
        "source_count": len(sources),
        "sources_href": reverse("sources:list"),
        "own": _own(looker) if not looker.rights.may(Right.SEE_MONEY) else [],
    }


def _facts(looker: Looker, bills: Sequence[BilledMonth], worth: MonthWorth | None) -> list[tuple[str, str, str]]:
    """The month in three figures: cost, value and what is left of it; without values, what the cost is made of."""
    totals, currency = looker.totals, looker.currency
    facts = [
        (
            "Full cost",
            figures.money(totals.now.cost if totals.now.lines else None, currency),
            why_address("cost", looker.period),
        )
    ]
    if worth:
        return [
            *facts,
            ("Value", figures.money(worth.value, currency), worth_sum_address("value", looker.period)),
            ("Net value", figures.money(worth.net, currency), worth_sum_address("net", looker.period)),
        ]
    if selectors.may_see_unallocated(looker.actor):
        facts.append(
            (
                "Workloads",
                figures.money(totals.workloads.cost, currency),
                why_address("cost", looker.period, allocated="yes"),
            )
        )
        facts.append(
            (
                "Unallocated",
                figures.money(totals.unallocated.cost, currency),
                why_address("cost", looker.period, allocated="no"),
            )
        )
    if bills:
        residual = figures.money(residual_of(bills), currency)
        facts.append(("Residual to the bill", residual, why_address("residual", looker.period)))
    return facts


@dataclass(frozen=True, slots=True)
class Delivering:
    """A source and what keeps it from delivering, in a word; empty where it delivers."""

    row: SourceRow
    trouble: str


def _delivering(rows: Sequence[SourceRow]) -> list[Delivering]:
    """The troubled ones first."""
    state = figure_state(now=timezone.now())
    words = {**dict.fromkeys(state.silent, "silent"), **dict.fromkeys(state.stale, "stale")}
    found = [Delivering(row, "broken" if _is_broken(row) else words.get(row.source.name, "")) for row in rows]
    return sorted(found, key=lambda each: not each.trouble)


def _is_broken(row: SourceRow) -> bool:
    return row.source.state == Source.State.NEEDS_ATTENTION or row.last_failed


def _checks(looker: Looker, sources: Sequence[Delivering], bills: Sequence[BilledMonth]) -> list[Check]:
    """What must be right before the month is closed, for those who look after sources and what nobody claims."""
    if not (looker.rights.may(Right.SEE_SOURCES) and looker.rights.may(Right.SEE_UNALLOCATED)):
        return []
    totals, share = looker.totals, _unallocated_share(looker.totals)
    troubled = [each for each in sources if each.trouble]
    running = Pull.objects.visible_to(looker.actor).unfinished().count()
    unpriced = totals.now.unpriced_tokens
    is_within = share is not None and share <= looker.unallocated_limit
    over = "Unallocated over its limit" if share is not None else "The cost of what is unallocated is unknown"
    return [
        Check(
            _said(not troubled, "Every source has delivered", f"{_number(len(troubled), 'source')} to look at"),
            not troubled,
            href=reverse("sources:list"),
            action="Look at the sources",
        ),
        Check(
            _said(not running, "No imports running", f"{_number(running, 'import')} still running"),
            not running,
            href=reverse("imports:list"),
            action="See the imports",
        ),
        Check(
            _said(not unpriced, "Every token has a price", "Tokens without a price"),
            not unpriced,
            f"{figures.tokens(unpriced)} tokens" if unpriced else "",
            href=reverse("rates:list"),
            action="Give the prices",
        ),
        Check(
            _said(is_within or not totals.unallocated.lines, "Unallocated within its limit", over),
            is_within or not totals.unallocated.lines,
            figures.percent(share) if share else "",
            href=f"{reverse('unallocated:list')}?{looker.period.query}",
            action="Bind keys",
        ),
        _bill_check(looker, bills),
    ]


def _bill_check(looker: Looker, bills: Sequence[BilledMonth]) -> Check:
    """Done once a bill stands beside every figure that it covers, and differs by no more than is tolerated."""
    differ = [bill for bill in bills if bill.is_over_tolerance]
    words = f"{differ[0].provider or 'A bill'} differs from what was computed" if differ else "Figures reconcile"
    return Check(
        words if bills else "No bill stands beside it",
        bool(bills) and not differ,
        f"{figures.money(selectors.apart(bills), looker.currency)} residual" if bills else "",
        href=f"{reverse('costs:overview')}?{looker.period.query}",
        action="Compare",
    )


def _said(is_done: bool, done: str, not_yet: str) -> str:
    return done if is_done else not_yet


def _number(count: int, noun: str) -> str:
    return f"{figures.count(count)} {noun}{'' if count == 1 else 's'}"


def _own(looker: Looker) -> list[tuple[CostRow, str, str]]:
    """What the workloads of an owner cost, for those who see no other money: the dearest first."""
    scope = CostScope(looker.period.start, looker.period.end)
    table = selectors.cost_table(actor=looker.actor, scope=scope, grouping=Grouping.WORKLOAD, limit=OWN_SHOWN)
    return [
        (row, figures.money(row.now.cost, looker.currency), why_address("cost", looker.period, workload=row.ref))
        for row in table.rows
    ]


def _unallocated_share(totals: CostTotals) -> Decimal | None:
    if totals.unallocated.cost == 0 and totals.now.cost is not None:
        return Decimal(0)
    return _ratio(totals.unallocated.cost, totals.now.cost) if totals.now.lines else None


def _ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return part / whole if part is not None and whole else None
