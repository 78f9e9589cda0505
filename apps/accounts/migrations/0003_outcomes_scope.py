import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_decision")]
    operations = [
        migrations.AlterField(
            model_name="apitoken",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("read", "Read the register, costs and usage"),
                        ("usage:write", "Send usage"),
                        ("outcomes:write", "Send outcomes"),
                    ],
                    max_length=20,
                ),
                size=None,
            ),
        ),
    ]
