"""Home: what waits for the person who looks, when, and how much money hangs on it. Never without a next step."""

from collections.abc import Callable, Iterator, Sequence
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
from apps.approvals.selectors import waiting_for
from apps.budgets.rows import STATES
from apps.budgets.selectors import Burn, burns, this_month
from apps.core import organisation
from apps.core.actor import Actor
from apps.costs import selectors
from apps.costs.limits import unallocated_limit
from apps.costs.selectors import BilledMonth, CostRow, CostScope, CostTotals, Grouping
from apps.costs.selectors.waiting import unclaimed_keys, unpriced_models
from apps.reviews.models import Cycle
from apps.sources.models import Pull, Source
from apps.sources.selectors import SourceRow, source_rows
from apps.web import figures
from apps.web.cost_scope import why_address
from apps.web.costs import change
from apps.web.home_parts import GROUPS, MOST_OF_A_KIND, Check, Group, Looker, NextStep, Task
from apps.web.home_reviews import open_cycles, review_tasks, sign_off
from apps.web.home_worth import MonthWorth, month_worth, worth_tasks
from apps.web.pages import PageRequest, page_or_part
from apps.web.period import PeriodChoice, period_of
from apps.workloads.models import Workload
from apps.workloads.selectors import drafts_of

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
    """Keys that nobody claims, once they are over the limit of the full cost."""
    share, most = _unallocated_share(looker.totals), looker.unallocated_limit
    if not looker.rights.may(Right.ALLOCATE) or share is None or share <= most:
        return
    keys = unclaimed_keys(actor=looker.actor, first=looker.period.start, end=looker.period.end)
    title = (
        "1 usage key belongs to nobody"
        if keys.count == 1
        else f"{figures.count(keys.count)} usage keys belong to nobody"
    )
    before = _ratio(looker.totals.unallocated_before, looker.totals.before)
    moved = f", {'up' if before < share else 'down'} from {figures.percent(before)}" if before else ""
    limit = figures.percent_short(most)
    yield Task(
        "This week",
        "help-hexagon",
        title,
        f"{figures.percent(share)} of full cost{moved}; the limit is {limit}. The largest is",
        f"{reverse('unallocated:list')}?{looker.period.query}",
        "Bind keys",
        money=figures.money(looker.totals.unallocated.cost, looker.currency),
        money_note=f"in {looker.period.label}",
        due="Before sign-off",
        code=keys.largest,
    )


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
    passed = [(names[pk], burn) for pk, burn in found.items() if burn.standing in STATES["warned"]]
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
    """Changes that wait for this person's decision."""
    for proposal in waiting_for(looker.actor, limit=MOST_OF_A_KIND):
        waiting = proposal.confirmation
        yield Task(
            "Today",
            proposal.icon,
            f"Decide: {proposal.title}",
            f"{proposal.name}. {waiting.asked_by.name} asks: “{waiting.reason}”",
            reverse("inbox:detail", args=[waiting.pk]),
            "Decide",
            due=f"asked {figures.ago(waiting.asked_at)}",
        )


_KINDS: Final[tuple[Callable[[Looker], Iterator[Task]], ...]] = (
    _to_confirm,
    _sources,
    _imports,
    worth_tasks,
    _budgets,
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
    sources = source_rows(actor=looker.actor) if sees_sources else []
    bills = (
        selectors.billed_months(actor=looker.actor, scope=CostScope(looker.period.start, looker.period.end))
        if looker.sees_money
        else []
    )
    worth, blocked = month_worth(looker), sign_off(looker, cycles)
    return {
        "sees_money": looker.sees_money,
        "worth": worth,
        "facts": _facts(looker, bills, worth) if looker.sees_money else [],
        "review": blocked[0] if blocked else None,
        "full_change": change(looker.totals.now.cost, looker.totals.before),
        "checks": blocked[1] if blocked else _checks(looker, sources, bills),
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
            ("Value", figures.money(worth.value, currency), ""),
            ("Net value", figures.money(worth.net, currency), ""),
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
        residual = sum((bill.residual for bill in bills), Decimal(0))
        facts.append(
            ("Residual to the bill", figures.money(residual, currency), why_address("residual", looker.period))
        )
    return facts


def _checks(looker: Looker, sources: Sequence[SourceRow], bills: Sequence[BilledMonth]) -> list[Check]:
    """What must be right before the month is closed, for those who look after sources and what nobody claims."""
    if not (looker.rights.may(Right.SEE_SOURCES) and looker.rights.may(Right.SEE_UNALLOCATED)):
        return []
    totals, share = looker.totals, _unallocated_share(looker.totals)
    broken = [row for row in sources if row.source.state == Source.State.NEEDS_ATTENTION or row.last_failed]
    running = Pull.objects.visible_to(looker.actor).unfinished().count()
    unpriced = totals.now.unpriced_tokens
    residual = sum((bill.residual for bill in bills), Decimal(0))
    is_within = share is None or share <= looker.unallocated_limit
    return [
        Check(
            _said(not broken, "Every source has delivered", f"{_number(len(broken), 'source')} to look at"), not broken
        ),
        Check(_said(not running, "No imports running", f"{_number(running, 'import')} still running"), not running),
        Check(
            _said(not unpriced, "Every token has a price", "Tokens without a price"),
            not unpriced,
            figures.tokens(unpriced) if unpriced else "",
        ),
        Check(
            _said(is_within, "Unallocated within its limit", "Unallocated over its limit"),
            is_within,
            figures.percent(share) if share else "",
        ),
        Check(
            _said(bool(bills), "A bill stands beside it", "No bill stands beside it"),
            bool(bills),
            f"{figures.money(residual, looker.currency)} residual" if bills else "",
        ),
    ]


def _said(is_done: bool, done: str, not_yet: str) -> str:
    return done if is_done else not_yet


def _number(count: int, noun: str) -> str:
    return f"{figures.count(count)} {noun}{'' if count == 1 else 's'}"


def _own(looker: Looker) -> list[tuple[CostRow, str]]:
    """What the workloads of an owner cost, for those who see no other money: the dearest first."""
    scope = CostScope(looker.period.start, looker.period.end)
    table = selectors.cost_table(actor=looker.actor, scope=scope, grouping=Grouping.WORKLOAD, limit=OWN_SHOWN)
    return [(row, figures.money(row.now.cost, looker.currency)) for row in table.rows]


def _unallocated_share(totals: CostTotals) -> Decimal | None:
    return _ratio(totals.unallocated.cost, totals.now.cost) if totals.now.lines else None


def _ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return part / whole if part is not None and whole else None
