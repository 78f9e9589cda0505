"""A month is signed for somebody who passed the role on, unless they could not sign it themselves."""

from importlib import import_module

from django.db import migrations

before = import_module("apps.reviews.migrations.0002_proof")
_WAS = """SELECT FROM accounts_role_grant g JOIN accounts_person p ON p.id = g.person_id AND p.active
         WHERE g.person_id = NEW.signed_by_id"""
_IS = """SELECT FROM accounts_role_grant g JOIN accounts_person p ON p.id = g.person_id AND p.active
          JOIN accounts_role_grant own ON own.id = coalesce(g.passed_on_from_id, g.id)
          JOIN accounts_person holder ON holder.id = own.person_id AND holder.active
         WHERE NOT EXISTS (SELECT FROM reviews_attestation a WHERE a.cycle_id = c.id AND a.person_id = holder.id)
           AND g.person_id = NEW.signed_by_id"""
GUARD = before.PACKS.partition("CREATE TRIGGER")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")


class Migration(migrations.Migration):
    dependencies = [("reviews", "0004_books"), ("accounts", "0004_passed_on")]
    operations = [migrations.RunSQL(GUARD.replace(_WAS, _IS), GUARD)]
