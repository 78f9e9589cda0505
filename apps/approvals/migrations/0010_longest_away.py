"""A role is passed on for 45 days within any 90, to everybody together, and never for days that are far.

Strung together, shorter times would make somebody an approver for years by the word of one person.
"""

from importlib import import_module

from django.db import migrations

before = import_module("apps.approvals.migrations.0008_passed_on")

# A window that holds the most begins or ends with one of them. Hours, since days follow the zone of the connection.
LONGEST = r"""
CREATE FUNCTION approvals_longest_away(own bigint, since timestamptz, until timestamptz) RETURNS interval
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    WITH spans AS (
        SELECT valid_from AS first, valid_to AS last FROM accounts_role_grant
         WHERE passed_on_from_id = own AND valid_to > since - interval '2160 hours'
           AND valid_from < until + interval '2160 hours'
         UNION ALL SELECT since, until
    ), windows AS (
        SELECT first AS start, first + interval '2160 hours' AS stop FROM spans
         UNION SELECT last - interval '2160 hours', last FROM spans
    )
    SELECT max(total) FROM windows, LATERAL (
        SELECT sum(least(last, stop) - greatest(first, start)) AS total FROM spans WHERE first < stop AND last > start
    ) within
$$;
"""
GUARD = before.PASSED_ON.partition("CREATE TRIGGER")[0].replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
_WAS = """NEW.valid_to > NEW.valid_from + interval '45 days' OR NEW.valid_to > own.valid_to THEN"""
# An hour more: the day on which summer time ends has 25, and the clock of the web server may be a little ahead.
_IS = """NEW.valid_to > NEW.granted_at + interval '2161 hours' OR NEW.valid_to > own.valid_to
       OR approvals_longest_away(own.id, NEW.valid_from, NEW.valid_to) > interval '1081 hours' THEN"""
_SAID = "45 days at most, and no longer than it is held."
_SAYS = "45 days at most within any 90, in the next 90, and no longer than it is held."


class Migration(migrations.Migration):
    dependencies = [("approvals", "0009_cards")]
    operations = [
        migrations.RunSQL(
            LONGEST + GUARD.replace(_WAS, _IS).replace(_SAID, _SAYS),
            GUARD + "DROP FUNCTION approvals_longest_away(bigint, timestamptz, timestamptz);",
        )
    ]
