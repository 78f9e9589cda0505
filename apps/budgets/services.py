"""Setting budgets, and telling their owners when a month comes near to one or goes over it."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from apps.accounts import rights
from apps.accounts.models import CostCentre, Role
from apps.accounts.rights import Right
from apps.accounts.services import is_founding
from apps.budgets import mails
from apps.budgets.models import HARD, MOST_SHARE, SOFT, Budget, Notice
from apps.budgets.selectors import Burn, burns, cap_at, centre_rows_of, row_at, rows_after
from apps.core import audit, organisation, periods
from apps.core.actor import Actor
from apps.core.errors import BadInput, Conflict, NotAllowed
from apps.core.models import Period
from apps.core.money import DECIMAL_PLACES, TOO_LARGE, UNIT, plain
from apps.workloads.models import Workload
from apps.workloads.services import why_not_tighten

SWEEP_LOCK: Final = 7_306_001
LONGEST_REASON: Final = 300
FIRST, LAST = date(2015, 1, 1), date(2099, 12, 1)
MAIL_FOR: Final = timedelta(days=3)
SYSTEM: Final = Actor.system("budgets")
log = logging.getLogger(__name__)
AS_REGISTERED: Final = "What it may spend, as registered."
Owner = Workload | CostCentre


class Stale(Conflict):
    """What the page showed is no longer what holds."""


def may_set(actor: Actor, owner: Owner) -> bool:
    """A workload's budget owner; analysts and administrators within the cost centres whose money they see."""
    if actor.is_machine:
        return True
    held = rights.rights_of(actor)
    centre = owner if isinstance(owner, CostCentre) else owner.cost_centre
    if held.may(Right.SET_BUDGETS) and held.sees_money_of(centre):
        return True
    return held.is_member and isinstance(owner, Workload) and owner.budget_owner_id == actor.person_id


def require_may_set(actor: Actor, owner: Owner) -> None:
    """Raises NotAllowed that says who may."""
    if not may_set(actor, owner):
        raise _not_allowed(owner)


def may_tighten(actor: Actor, owner: Owner) -> bool:
    """Who decides the monthly review may lower and suspend budgets there: a disposition keeps or tightens."""
    if may_set(actor, owner):
        return True
    if isinstance(owner, Workload):
        return not why_not_tighten(actor, owner)
    return rights.rights_of(actor).may(Right.REVIEW) and rights.holds(actor, Role.REVIEWER, owner)


@transaction.atomic
def set_budget(
    *,
    actor: Actor,
    owner: Owner,
    month: date,
    amount: Decimal,
    soft: Decimal | None = None,
    hard: Decimal | None = None,
    on_hard: str = "",
    reason: str = "",
    expected_id: int | None = None,
    decision_id: int | None = None,
) -> Budget:
    """From `month` on, until a newer one begins, `owner` may spend `amount` a month. Less than is spent is allowed.

    `expected_id` is the row that the page showed (0: none); Conflict where another one holds by now. The same values
    again change nothing. BadInput for an amount or thresholds that are none, and where a signed month would change.
    Thresholds that are not given stay what they are. More than a review capped it at takes the decision of somebody
    else: `decision_id` names it.
    """
    owner, month = _locked(actor, owner), _month(month)
    require_may_set(actor, owner)
    wanted = _wanted(owner, month, amount, soft, hard, on_hard)
    confirmed = _Confirmed(decision_id, _new_cap(owner, month, wanted.amount, decision_id))
    return _write(actor, owner, month, wanted, reason=_reason(reason), expected_id=expected_id, confirmed=confirmed)


def checked(
    *, owner: Owner, month: date, amount: Decimal, soft: Decimal | None, hard: Decimal | None, on_hard: str
) -> dict[str, str | None]:
    """What `set_budget` would set, as texts; BadInput where it would refuse."""
    wanted = _wanted(owner, _month(month), amount, soft, hard, on_hard)
    return {name: text for name, text in wanted.as_evidence().items() if name != "state"}


def refuse_stale(*, owner: Owner, month: date, expected_id: int | None) -> None:
    """Stale where another row than the one that the page showed (0: none) holds from `month` on by now.

    Nothing is held: whoever decides holds the proposal first and the owner second, and looks at the standing again.
    """
    _refuse_stale(owner, row_at(owner, month), expected_id)


def as_text(row: Budget) -> dict[str, str | None]:
    """What a version says, under the names of `checked`, and its state."""
    return _Values.of(row).as_evidence()


def _wanted(
    owner: Owner, month: date, amount: Decimal, soft: Decimal | None, hard: Decimal | None, on_hard: str
) -> "_Values":
    standing = row_at(owner, month)
    kept = _Values.of(standing) if standing else _Values(Decimal(0), SOFT, HARD, Budget.OnHard.TELL, "")
    shares = _thresholds(kept.soft if soft is None else soft, kept.hard if hard is None else hard)
    return _Values(_amount(amount), *shares, Budget.OnHard(on_hard or kept.on_hard), Budget.State.ACTIVE)


@transaction.atomic
def lower(*, actor: Actor, owner: Owner, month: date, amount: Decimal, reason: str = "") -> Budget:
    """What a monthly review does: less a month, or a first limit where none holds. A suspended budget stays suspended.

    From then on it is a cap: its owner lowers it alone, and raises it with the decision of somebody else.
    NotAllowed for more than what holds, also for whoever could raise it elsewhere.
    """
    owner, month = _locked(actor, owner), _month(month)
    standing = row_at(owner, month)
    if standing is None or standing.state == Budget.State.ENDED:
        wanted = _Values(_amount(amount), SOFT, HARD, Budget.OnHard.TELL, Budget.State.ACTIVE)
    elif amount > standing.amount:
        raise NotAllowed(
            "A review may only lower a budget.", hint="Its budget owner and the FinOps analysts may raise it."
        )
    else:
        wanted = replace(_Values.of(standing), amount=_amount(amount))
    return _write(actor, owner, month, wanted, reason=_reason(reason), confirmed=_Confirmed(cap=wanted.amount))


@transaction.atomic
def suspend(*, actor: Actor, owner: Owner, month: date, reason: str = "", expected_id: int | None = None) -> Budget:
    """From `month` on nothing may be spent until it is resumed; also what was set for later months waits."""
    return _turn(actor, owner, month, Budget.State.SUSPENDED, reason, expected_id)


@transaction.atomic
def resume(*, actor: Actor, owner: Owner, month: date, reason: str = "", expected_id: int | None = None) -> Budget:
    """The amount of the suspended budget holds again, from `month` on."""
    return _turn(actor, owner, month, Budget.State.ACTIVE, reason, expected_id)


@transaction.atomic
def end(*, actor: Actor, owner: Owner, month: date, reason: str = "", expected_id: int | None = None) -> Budget:
    """From `month` on there is no budget, which is another thing than a budget of 0."""
    return _turn(actor, owner, month, Budget.State.ENDED, reason, expected_id)


@transaction.atomic
def transfer(
    *,
    actor: Actor,
    giver: Workload,
    taker: Workload,
    month: date,
    amount: Decimal,
    reason: str = "",
    decision_id: int | None = None,
) -> tuple[Budget, Budget]:
    """Move a part of one workload's budget to another's, from the month on: both change, or none.

    Whoever asks for it may set both budgets, so nobody takes from another's; and somebody else has confirmed it.
    BadInput where the giver has less.
    """
    if decision_id is None and not (actor.is_machine and is_founding()):
        raise NotAllowed("A transfer between budgets is confirmed by somebody else.", hint="Propose it.")
    if giver.pk == taker.pk:
        raise BadInput("Choose another workload to move it to.")
    # In one order, whoever gives: two transfers in opposite directions do not wait for each other for ever.
    for owner in sorted((giver, taker), key=lambda each: each.pk):
        _locked(actor, owner)
        require_may_set(actor, owner)
    month, moved = _month(month), _amount(amount)
    rows = [_holding(owner, month) for owner in (giver, taker)]
    if not 0 < moved <= rows[0].amount:
        raise BadInput(f"{giver} has {plain(rows[0].amount)} a month.", hint="Move more than 0, and at most that.")
    changes = zip((giver, taker), rows, (-moved, moved), strict=True)
    first, second = (
        _moved(actor, owner, row, month, change, _reason(reason), decision_id) for owner, row, change in changes
    )
    return first, second


def _moved(
    actor: Actor, owner: Owner, row: Budget, month: date, change: Decimal, reason: str, decision_id: int | None
) -> Budget:
    """A transfer lifts no cap: it is decided where the money comes from, and the cap is another's."""
    wanted = replace(_Values.of(row), amount=row.amount + change)
    _new_cap(owner, month, wanted.amount, None)
    return _write(actor, owner, month, wanted, reason=reason, confirmed=_Confirmed(decision_id))


@transaction.atomic
def adopt_registered(*, actor: Actor) -> int:
    """Workloads that have never had a budget get what their registration said they may spend; returns how many.

    From the month of their registration on, or the first one that is not signed. From then on the budget is the one
    truth, and the registration's answer is what it was: an answer of that day.
    """
    rows = Workload.objects.active().filter(monthly_spend_expected__isnull=False, budgets__isnull=True)
    waiting = list(rows.select_for_update(of=("self",), skip_locked=True).order_by("pk"))
    zone, signed = organisation.zone(), _last_signed()
    for workload in waiting:
        wanted = _Values(workload.monthly_spend_expected or Decimal(0), SOFT, HARD, Budget.OnHard.TELL, "active")
        _write(actor, workload, _first_month(workload, zone, signed), wanted, reason=AS_REGISTERED)
    return len(waiting)


# --- Versions ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Values:
    """What a version says."""

    amount: Decimal
    soft: Decimal
    hard: Decimal
    on_hard: str
    state: str

    @classmethod
    def of(cls, row: Budget) -> "_Values":
        return cls(row.amount, row.soft, row.hard, row.on_hard, row.state)

    def as_evidence(self) -> dict[str, str | None]:
        return {
            "amount": plain(self.amount),
            "soft": plain(self.soft),
            "hard": plain(self.hard),
            "on_hard": str(self.on_hard),
            "state": str(self.state),
        }


@dataclass(frozen=True, slots=True)
class _Confirmed:
    """What makes a version more than its owner's word: the decision about it, and the cap that it sets."""

    decision_id: int | None = None
    cap: Decimal | None = None


def _new_cap(owner: Owner, month: date, amount: Decimal, decision_id: int | None) -> Decimal | None:
    """The cap that an amount sets: with a decision the amount itself, above the old one. NotAllowed without."""
    cap = cap_at(owner, month)
    if cap is None or amount <= cap:
        return None
    if decision_id is None:
        raise NotAllowed(
            f"A review capped the budget of {owner} at {plain(cap)} a month; more is confirmed by somebody else.",
            hint="Propose it on the page of the budget.",
        )
    return amount


def _turn(actor: Actor, owner: Owner, month: date, state: str, reason: str, expected_id: int | None) -> Budget:
    """The same amount in another state, and likewise for what was set for later months."""
    owner, month = _locked(actor, owner), _month(month)
    if state != Budget.State.SUSPENDED:
        require_may_set(actor, owner)
    standing = row_at(owner, month)
    if standing is None or standing.state == Budget.State.ENDED:
        raise Conflict(f"{owner} has no budget in {month:%B %Y}.", hint="Set one first.")
    text = _reason(reason)
    if state == Budget.State.ENDED and cap_at(owner, month) is not None:
        raise NotAllowed(
            f"A review capped the budget of {owner}; it does not end.", hint="Propose a higher one, or set a lower one."
        )
    for later in rows_after(owner, month):
        if later.state != Budget.State.ENDED:
            _write(actor, owner, later.month, _in_state(later, state), reason=text)
    return _write(actor, owner, month, _in_state(standing, state), reason=text, expected_id=expected_id)


def _holding(owner: Workload, month: date) -> Budget:
    """The active budget of the month; Conflict where there is none to move money from or to."""
    row = row_at(owner, month)
    if row is None or row.state != Budget.State.ACTIVE:
        raise Conflict(f"{owner} has no budget that holds in {month:%B %Y}.", hint="Set or resume it first.")
    return row


def _in_state(row: Budget, state: str) -> _Values:
    return _Values(row.amount, row.soft, row.hard, row.on_hard, state)


def _write(
    actor: Actor,
    owner: Owner,
    month: date,
    wanted: _Values,
    *,
    reason: str = "",
    expected_id: int | None = None,
    confirmed: _Confirmed = _Confirmed(),
) -> Budget:
    """The next version from the month on. The caller holds the owner's row, so versions are counted without a race."""
    standing = row_at(owner, month)
    _refuse_stale(owner, standing, expected_id)
    if standing is not None and _Values.of(standing) == wanted and confirmed.cap in (None, standing.cap):
        return standing
    _refuse_signed(owner, month)
    mine = _owner_field(owner)
    same_month = Budget.objects.filter(month=month, **mine)
    version = same_month.count() + 1
    same_month.current().update(state=Budget.State.SUPERSEDED)
    row = Budget.objects.create(
        **mine,
        month=month,
        version=version,
        amount=wanted.amount,
        soft=wanted.soft,
        hard=wanted.hard,
        on_hard=wanted.on_hard,
        state=wanted.state,
        reason=reason,
        recorded_by_id=actor.person_id,
        decision_id=confirmed.decision_id,
        cap=confirmed.cap,
    )
    before = _Values.of(standing).as_evidence() if standing else None
    data: dict[str, Any] = {"month": f"{month:%Y-%m}", "version": version, "reason": reason, "before": before}
    data |= {"decision": confirmed.decision_id, "cap": plain(confirmed.cap)}
    audit.record(actor=actor, verb=_verb(wanted.state), subject=owner, data={**data, "after": wanted.as_evidence()})
    return row


def _verb(state: str) -> str:
    verbs = {
        Budget.State.ACTIVE: "set budget",
        Budget.State.SUSPENDED: "suspended budget",
        Budget.State.ENDED: "ended budget",
    }
    return verbs[Budget.State(state)]


def _refuse_stale(owner: Owner, standing: Budget | None, expected_id: int | None) -> None:
    if expected_id is None or expected_id == (standing.pk if standing else 0):
        return
    # Only a row of this very owner: any number can stand in a form.
    seen = Budget.objects.filter(pk=expected_id, **_owner_field(owner)).first()
    raise Stale(
        f"Somebody changed this budget in the meantime: it was {_in_words(seen)}, and is {_in_words(standing)}.",
        hint="Look at it once more, then decide.",
    )


def _in_words(row: Budget | None) -> str:
    if row is None or row.state == Budget.State.ENDED:
        return "none"
    told = f"{plain(row.amount)} a month, told at {percent(row.soft)} and {percent(row.hard)}"
    return f"{told}, suspended" if row.is_suspended else told


def percent(share: Decimal) -> str:
    """A threshold as it was given, to its last digit."""
    return f"{plain(share * 100)}%"


def _refuse_signed(owner: Owner, month: date) -> None:
    """A signed month keeps the budget by which it was judged."""
    later = rows_after(owner, month)
    signed = Period.objects.filter(state=Period.State.SIGNED, month__gte=month).order_by("month")
    if later:
        signed = signed.filter(month__lt=later[0].month)
    first = signed.first()
    if first is not None:
        raise BadInput(
            f"The budget of {first.month:%B %Y} would change, and that month is signed.",
            hint=f"Choose a month from {periods.next_month(_last_signed() or first.month):%B %Y} on.",
        )


def _locked(actor: Actor, owner: Owner) -> Owner:
    """The owner, held until the transaction ends, for an actor who may set its budget."""
    if isinstance(owner, Workload):
        current: Owner = Workload.objects.select_for_update(of=("self",)).select_related("cost_centre").get(pk=owner.pk)
    else:
        current = CostCentre.objects.select_for_update(of=("self",)).get(pk=owner.pk)
    if not may_tighten(actor, current):
        raise _not_allowed(current)
    if isinstance(current, Workload) and current.state == Workload.State.DRAFT:
        raise Conflict(f"{current.name} is still a draft.", hint="Register it first: the form asks what it may spend.")
    return current


def _not_allowed(owner: Owner) -> NotAllowed:
    who = "Its budget owner and the FinOps analysts may." if isinstance(owner, Workload) else "The FinOps analysts may."
    return NotAllowed(f"You may not set the budget of {owner}.", hint=who)


def _owner_field(owner: Owner) -> dict[str, Owner]:
    return {"workload": owner} if isinstance(owner, Workload) else {"cost_centre": owner}


def _amount(amount: Decimal) -> Decimal:
    if not amount.is_finite() or not 0 <= amount < TOO_LARGE:
        raise BadInput("A budget is an amount of 0 or more.", hint="0 means that nothing may be spent.")
    if amount != amount.quantize(UNIT):
        raise BadInput(f"A budget has at most {DECIMAL_PLACES} decimal places.")
    return amount


def _thresholds(soft: Decimal, hard: Decimal) -> tuple[Decimal, Decimal]:
    if not (soft.is_finite() and hard.is_finite() and 0 < soft <= hard <= MOST_SHARE):
        raise BadInput(
            "The soft threshold lies above 0 and not above the hard one, and that at most at 1,000 %.",
            hint="Usual are 80 and 100 %.",
        )
    return soft.quantize(Decimal("0.0001")), hard.quantize(Decimal("0.0001"))


def _month(month: date) -> date:
    if not FIRST <= month <= LAST:
        raise BadInput(f"A budget begins in a month from {FIRST:%Y} to {LAST:%Y}.")
    return month.replace(day=1)


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if len(reason) > LONGEST_REASON or not (reason.isprintable() or not reason):
        raise BadInput(f"A reason has at most {LONGEST_REASON} printable characters.")
    return reason


def _last_signed() -> date | None:
    newest = Period.objects.filter(state=Period.State.SIGNED).order_by("-month").first()
    return newest.month if newest else None


def _first_month(workload: Workload, zone: ZoneInfo, signed: date | None) -> date:
    registered = periods.month_of(workload.activated_at or workload.created_at, zone)
    return max(registered, periods.next_month(signed)) if signed else registered


# --- Thresholds -------------------------------------------------------------------------------------------------------


def limits_of(budget: Budget) -> list[tuple[Notice.Level, Decimal]]:
    """The amounts at which somebody is told, lowest first; thresholds at the same amount are one.

    Of a budget of 0, or one that is suspended, only the whole is left: the first cent is over it.
    """
    if budget.limit == 0:
        return [(Notice.Level.FULL, Decimal(0))]
    stated = [
        (Notice.Level.HARD, _exact(budget.amount, budget.hard)),
        (Notice.Level.FULL, budget.amount),
        (Notice.Level.SOFT, _exact(budget.amount, budget.soft)),
    ]
    by_amount: dict[Decimal, Notice.Level] = {}
    for level, limit in stated:
        by_amount.setdefault(limit, level)
    return [(level, limit) for limit, level in sorted(by_amount.items())]


def is_passed(limit: Decimal, spent: Decimal) -> bool:
    """At the threshold is passed; a limit of 0 is passed by the first cent."""
    return spent >= limit if limit else spent > 0


def sweep(*, now: datetime) -> list[Notice]:
    """Note every threshold that was newly passed, and corrections below one; returns the new notices.

    Looks at the month that runs and the one before it, as far as they are not signed. One sweep at a time: the second
    finds nothing to do.
    """
    adopt_registered(actor=SYSTEM)
    with transaction.atomic():
        if not _is_alone():
            return []
        month = periods.month_of(now, organisation.zone())
        signed = set(Period.objects.filter(state=Period.State.SIGNED).values_list("month", flat=True))
        months = [each for each in (periods.previous_month(month), month) if each not in signed]
        return [notice for each in months for notice in _sweep_month(each, now)]


def send_notices(*, now: datetime) -> int:
    """Mail what has not been mailed, one message a budget and month; returns how many were sent.

    A mail server that is away is asked again at the next turn, for as long as the news is news.
    """
    due = Notice.objects.filter(mailed_at__isnull=True, crossed_at__gte=now - MAIL_FOR)
    groups = due.order_by("budget_id", "month").values_list("budget_id", "month").distinct()
    return sum(_mail(budget, month, now) for budget, month in list(groups))


def _mail(budget_id: int, month: date, now: datetime) -> int:
    """Marked in the transaction that sends it: if the process dies in between, it goes out twice rather than never."""
    mine = Notice.objects.filter(budget=budget_id, month=month, mailed_at__isnull=True, crossed_at__gte=now - MAIL_FOR)
    with transaction.atomic():
        notices = list(mine.select_for_update(skip_locked=True, of=("self",)).select_related(*mails.NEEDS))
        if not notices:
            return 0
        try:
            sent = mails.send(notices)
        except OSError as error:
            log.warning("the notice about budget %s could not be mailed: %s", budget_id, error)
            return 0
        Notice.objects.filter(pk__in=[each.pk for each in notices]).update(mailed_at=now)
    return sent


def _is_alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
        return bool(cursor.fetchone()[0])


def _sweep_month(month: date, now: datetime) -> list[Notice]:
    # Each level is told once a month, at whatever amount: the newest notice of a level is the one that is corrected.
    # It is judged by its own limit, since a budget that was raised has corrected nothing.
    known = {(each.owner_key, each.level): each for each in Notice.objects.filter(month=month).order_by("pk")}
    new: list[Notice] = []
    for budget, spent in _spent_of_budgets(month):
        for level, limit in limits_of(budget):
            notice = known.get((budget.owner_key, level))
            if notice is not None:
                _note_correction(notice, spent, is_passed(notice.limit_amount, spent), now)
            elif is_passed(limit, spent):
                new.append(_passed(budget, month, level, limit, spent, now))
    return new


def _spent_of_budgets(month: date) -> Iterable[tuple[Budget, Decimal]]:
    """Every budget of the month with what is burned of it, as far as that is known: nothing is noted of the others."""
    centres = centre_rows_of(list(CostCentre.objects.all()), month=month, with_forecast=False)
    every: list[Burn] = [*burns(month=month).values(), *(row.burn for row in centres)]
    for burn in every:
        if burn.budget is not None and not burn.is_unknown:
            yield burn.budget, burn.direct or Decimal(0)


def _passed(budget: Budget, month: date, level: Notice.Level, limit: Decimal, spent: Decimal, now: datetime) -> Notice:
    notice = Notice.objects.create(
        budget=budget,
        owner_key=budget.owner_key,
        month=month,
        level=level,
        limit_amount=limit,
        spent=spent,
        crossed_at=now,
    )
    _record("passed budget threshold", notice, spent)
    return notice


def _note_correction(notice: Notice, spent: Decimal, is_over: bool, now: datetime) -> None:
    """Below again, or above again after that: noted, and told to nobody a second time."""
    if is_over == notice.is_over_now:
        return
    if is_over:
        notice.again_at = now
    else:
        notice.corrected_at, notice.corrected_spent, notice.again_at = now, spent, None
    notice.save(update_fields=["corrected_at", "corrected_spent", "again_at"])
    _record("passed budget threshold again" if is_over else "corrected below budget threshold", notice, spent)


def _record(verb: str, notice: Notice, spent: Decimal) -> None:
    data: Mapping[str, str | None] = {
        "month": f"{notice.month:%Y-%m}",
        "level": notice.level,
        "limit": plain(notice.limit_amount),
        "spent": plain(spent),
    }
    audit.record(actor=SYSTEM, verb=verb, subject=notice.budget.owner, data=dict(data))


def _exact(amount: Decimal, share: Decimal) -> Decimal:
    """A share of an amount to the ledger's last digit; Python's own context would round at 28 of 38."""
    with localcontext(prec=60):
        return (amount * share).quantize(UNIT)
