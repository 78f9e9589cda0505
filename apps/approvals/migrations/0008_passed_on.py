"""A role that its holder passes on while away: what it decides, and what it can never do.

It decides what its holder could, also what waited before, but never past what bars the holder or whoever acts for them.
It is given by the holder alone, for 45 days at most and no longer than their own, and is over with it. Grants end
earlier and never later, so that what was true at the beginning stays true.
"""

from importlib import import_module

from django.db import migrations

before = import_module("apps.approvals.migrations.0004_roles")

# Whose roles let somebody decide: their own, or that of whoever passed one on to them and is not barred.
HOLDS = r"""
CREATE FUNCTION approvals_behind(who bigint, about bigint, wanted text[]) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT holder.id FROM approvals_confirmation c
      JOIN accounts_person p ON p.id = who AND p.active
      JOIN accounts_role_grant g ON g.person_id = who AND g.role = ANY (wanted)
      JOIN accounts_role_grant own ON own.id = coalesce(g.passed_on_from_id, g.id)
      JOIN accounts_person holder ON holder.id = own.person_id AND holder.active
      LEFT JOIN accounts_cost_centre granted ON granted.id = g.cost_centre_id
      LEFT JOIN workloads_workload w ON w.id = c.workload_id
      LEFT JOIN accounts_cost_centre paying ON paying.id = w.cost_centre_id
     WHERE c.id = about
       AND g.valid_from <= clock_timestamp() AND (g.valid_to IS NULL OR g.valid_to > clock_timestamp())
       AND (own.valid_to IS NULL OR own.valid_to > clock_timestamp())
       AND own.valid_from <= c.asked_at AND own.granted_at <= c.asked_at
       AND own.granted_by_id IS DISTINCT FROM own.person_id
       -- A month is waived and opened again as a whole.
       AND (g.cost_centre_id IS NULL OR (c.workload_id IS NULL AND c.kind NOT IN ('waiver', 'reopen'))
            OR starts_with(paying.path, granted.path))
       AND (own.id = g.id OR approvals_barrier(own.person_id, about) IS NULL)
$$;

CREATE OR REPLACE FUNCTION approvals_holds(who bigint, about bigint, wanted text[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (SELECT FROM approvals_behind(who, about, wanted))
$$;

CREATE FUNCTION approvals_acts_for(who bigint, about bigint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT CASE WHEN who = ANY (coalesce(first.ids, second.ids)) THEN NULL
                ELSE (coalesce(first.ids, second.ids))[1] END
      FROM approvals_confirmation c,
           LATERAL (SELECT array_agg(id ORDER BY id) AS ids FROM approvals_behind(who, about, c.roles::text[]) id) first,
           LATERAL (SELECT array_agg(id ORDER BY id) AS ids
                      FROM approvals_behind(who, about, c.stand_ins::text[]) id) second
     WHERE c.id = about
$$;

CREATE FUNCTION approvals_say_for_whom() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.acted_for_id := approvals_acts_for(NEW.person_id, NEW.confirmation_id);
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_say_for_whom BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_say_for_whom();
"""
HOLDS_BACK = rf"""
DROP TRIGGER approvals_say_for_whom ON approvals_decision;
DROP FUNCTION approvals_say_for_whom();
DROP FUNCTION approvals_acts_for(bigint, bigint);
{before.HOLDS.format(part=before.WHOLE)}
DROP FUNCTION approvals_behind(bigint, bigint, text[]);
"""

PASSED_ON = r"""
CREATE FUNCTION approvals_guard_passed_on() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    own accounts_role_grant;
BEGIN
    -- Whoever ends the holder's role meanwhile waits for this one, and ends it too.
    SELECT * INTO own FROM accounts_role_grant WHERE id = NEW.passed_on_from_id FOR UPDATE;
    IF own.passed_on_from_id IS NOT NULL THEN
        RAISE EXCEPTION 'A role that was passed on is not passed on again.';
    END IF;
    IF NEW.granted_by_id IS DISTINCT FROM own.person_id OR NEW.decision_id IS NOT NULL THEN
        RAISE EXCEPTION 'A role is passed on by whoever holds it, and by nobody else.';
    END IF;
    IF NEW.person_id = own.person_id THEN
        RAISE EXCEPTION 'A role is passed on to somebody else.';
    END IF;
    IF own.role NOT IN ('approver', 'reviewer') OR NEW.role <> own.role
       OR NEW.cost_centre_id IS DISTINCT FROM own.cost_centre_id THEN
        RAISE EXCEPTION 'What is passed on is the role of an approver or reviewer, as it is.';
    END IF;
    IF own.granted_by_id = own.person_id THEN
        RAISE EXCEPTION 'A role that one gave oneself is not passed on.';
    END IF;
    IF own.valid_from > clock_timestamp() OR own.valid_to <= clock_timestamp()
       OR (SELECT count(*) FROM accounts_person WHERE active AND id IN (own.person_id, NEW.person_id)) < 2 THEN
        RAISE EXCEPTION 'A role is passed on while it counts, to somebody who is here.';
    END IF;
    NEW.granted_at := clock_timestamp();
    NEW.valid_from := greatest(NEW.valid_from, NEW.granted_at);
    IF NEW.valid_to IS NULL OR NEW.valid_to > NEW.valid_from + interval '45 days' OR NEW.valid_to > own.valid_to THEN
        RAISE EXCEPTION 'A role is passed on for 45 days at most, and no longer than it is held.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_passed_on BEFORE INSERT ON accounts_role_grant
    FOR EACH ROW WHEN (NEW.passed_on_from_id IS NOT NULL) EXECUTE FUNCTION approvals_guard_passed_on();
DROP TRIGGER approvals_guard_grant ON accounts_role_grant;
CREATE TRIGGER approvals_guard_grant BEFORE INSERT ON accounts_role_grant
    FOR EACH ROW WHEN (NEW.passed_on_from_id IS NULL) EXECUTE FUNCTION approvals_guard_grant();

CREATE FUNCTION approvals_guard_end() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF coalesce(NEW.valid_to, 'infinity') > coalesce(OLD.valid_to, 'infinity') THEN
        RAISE EXCEPTION 'A role ends earlier than was said, and never later.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_end BEFORE UPDATE ON accounts_role_grant
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_end();

CREATE FUNCTION approvals_end_passed_on() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE accounts_role_grant SET valid_to = greatest(valid_from, NEW.valid_to), ended_by_id = NEW.ended_by_id
     WHERE passed_on_from_id = NEW.id AND valid_to > greatest(valid_from, NEW.valid_to);
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_end_passed_on AFTER UPDATE ON accounts_role_grant
    FOR EACH ROW WHEN (NEW.valid_to IS DISTINCT FROM OLD.valid_to AND NEW.passed_on_from_id IS NULL)
    EXECUTE FUNCTION approvals_end_passed_on();

CREATE FUNCTION approvals_end_of_holder() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE accounts_role_grant g SET valid_to = greatest(g.valid_from, clock_timestamp())
      FROM accounts_role_grant own
     WHERE own.id = g.passed_on_from_id AND own.person_id = NEW.id
       AND g.valid_to > greatest(g.valid_from, clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_end_of_holder AFTER UPDATE ON accounts_person
    FOR EACH ROW WHEN (OLD.active AND NOT NEW.active) EXECUTE FUNCTION approvals_end_of_holder();
"""
PASSED_ON_BACK = r"""
DROP TRIGGER approvals_end_of_holder ON accounts_person;
DROP TRIGGER approvals_end_passed_on ON accounts_role_grant;
DROP TRIGGER approvals_guard_end ON accounts_role_grant;
DROP TRIGGER approvals_guard_passed_on ON accounts_role_grant;
DROP TRIGGER approvals_guard_grant ON accounts_role_grant;
CREATE TRIGGER approvals_guard_grant BEFORE INSERT ON accounts_role_grant
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_grant();
DROP FUNCTION approvals_end_of_holder();
DROP FUNCTION approvals_end_passed_on();
DROP FUNCTION approvals_guard_end();
DROP FUNCTION approvals_guard_passed_on();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0007_acted_for")]
    operations = [
        migrations.RunSQL(HOLDS, HOLDS_BACK),
        migrations.RunSQL(PASSED_ON, PASSED_ON_BACK),
    ]
