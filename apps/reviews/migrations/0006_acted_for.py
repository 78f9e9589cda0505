import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_reset_request"),
        ("reviews", "0005_passed_on"),
    ]

    operations = [
        migrations.AddField(
            model_name="disposition",
            name="acted_for",
            field=models.ForeignKey(
                help_text="Whose role it was, if not their own.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.person",
            ),
        ),
    ]
