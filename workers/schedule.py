"""What the clock starts, and how often. A missed beat costs nothing: each task takes whatever is due."""

from typing import Any

from celery.schedules import crontab

SCHEDULE: dict[str, dict[str, Any]] = {
    "give a sign of life": {"task": "workers.health.beat", "schedule": 60.0, "options": {"expires": 60}},
    "take imports nobody rang for": {"task": "workers.imports.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "price days that changed": {"task": "workers.imports.rate", "schedule": 10.0, "options": {"expires": 10}},
    "say what it is worth": {"task": "workers.economics.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "see which sources are silent": {"task": "workers.economics.notice_sources", "schedule": crontab(minute="*/10")},
    "ask live sources": {"task": "workers.sources.pull_due", "schedule": 60.0, "options": {"expires": 60}},
    "tell of budgets that were passed": {"task": "workers.budgets.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "tell of what waits": {"task": "workers.approvals.sweep", "schedule": 60.0, "options": {"expires": 60}},
    "send links for new passwords": {"task": "workers.accounts.sweep", "schedule": 5.0, "options": {"expires": 5}},
    "delete what was kept long enough": {"task": "workers.imports.tidy", "schedule": crontab(minute=17)},
    "take over a newer price list": {"task": "workers.catalog.refresh", "schedule": crontab(hour=0, minute=25)},
    "prove the ledger": {"task": "workers.costs.prove", "schedule": crontab(hour=2, minute=35)},
    "seal the audit trail": {"task": "workers.audit.seal", "schedule": 5.0, "options": {"expires": 5}},
    "keep the head of the audit chain": {"task": "workers.audit.keep_head", "schedule": crontab(hour=0, minute=5)},
    "open the review of a month that is over": {"task": "workers.reviews.open_due", "schedule": crontab(minute="*/10")},
    "write to owners whom a review waits for": {"task": "workers.reviews.remind", "schedule": crontab(minute=7)},
}
