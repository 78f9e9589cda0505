"""Value tiers and latency bands are reference data: every organisation starts with these and may edit the words."""

from django.db import migrations

TIERS = (
    ("T1", "critical", "If it stops or answers wrongly, customers or the law notice the same day."),
    ("T2", "high", "A business process slows down or costs visibly more without it."),
    ("T3", "standard", "It saves people time; without it they do the work by hand."),
    ("T4", "low", "Good to have, an experiment, or used now and then."),
)
BANDS = (
    ("interactive", "interactive", 800, "Somebody is waiting in the middle of a sentence or a click."),
    ("conversational", "conversational", 2_000, "Somebody is waiting for an answer, as in a chat."),
    ("near-line", "near-line", 20_000, "Somebody waits, but may look away for a moment."),
    ("batch", "batch", 600_000, "Nobody waits; it must be done within about ten minutes."),
    ("scheduled", "scheduled", None, "It runs at its time, overnight for example; there is no limit."),
)


def seed(apps, _schema_editor):
    tiers = apps.get_model("catalog", "ValueTier")
    bands = apps.get_model("catalog", "LatencyBand")
    tiers.objects.bulk_create([tiers(code=code, name=name, sentence=sentence) for code, name, sentence in TIERS])
    bands.objects.bulk_create(
        [bands(code=code, name=name, limit_ms=limit, sentence=sentence) for code, name, limit, sentence in BANDS]
    )


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
