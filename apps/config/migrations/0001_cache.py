"""The cache's table: a migration, so that whoever runs `migrate` has it and /readyz knows."""

from django.core.management import call_command
from django.db import migrations


def make_table(_apps, _editor):
    call_command("createcachetable", verbosity=0)


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.RunPython(make_table, migrations.RunPython.noop)]
