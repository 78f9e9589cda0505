"""A role is given by the decision of somebody else, and who reviews a part does not decide about the whole.

The one exception: while one person at most has ever been administrator, nobody could confirm what they give. Grants are
never deleted, so this is over for good with the second administrator.
"""

from django.db import migrations

HOLDS = r"""
CREATE OR REPLACE FUNCTION approvals_holds(who bigint, about bigint, wanted text[]) RETURNS boolean
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM approvals_confirmation c
          JOIN accounts_person p ON p.id = who AND p.active
          JOIN accounts_role_grant g ON g.person_id = who AND g.role = ANY (wanted)
          LEFT JOIN accounts_cost_centre granted ON granted.id = g.cost_centre_id
          LEFT JOIN workloads_workload w ON w.id = c.workload_id
          LEFT JOIN accounts_cost_centre paying ON paying.id = w.cost_centre_id
         WHERE c.id = about
           AND g.valid_from <= clock_timestamp() AND (g.valid_to IS NULL OR g.valid_to > clock_timestamp())
           AND g.valid_from <= c.asked_at AND g.granted_at <= c.asked_at
           AND g.granted_by_id IS DISTINCT FROM who
           AND (g.cost_centre_id IS NULL {part} OR starts_with(paying.path, granted.path))
    )
$$;
"""
# A month is waived and opened again as a whole.
WHOLE = "OR (c.workload_id IS NULL AND c.kind NOT IN ('waiver', 'reopen'))"
ANY = "OR c.workload_id IS NULL"

DOER = """
DROP TRIGGER approvals_bar_doer ON core_audit_event;
CREATE TRIGGER approvals_bar_doer AFTER INSERT ON core_audit_event
    FOR EACH ROW WHEN (NEW.person_id IS NOT NULL AND NEW.subject_kind IN ({kinds}))
    EXECUTE FUNCTION approvals_bar_doer();
"""
# Whoever says which keys are a workload's has had a hand in what it costs.
ALSO_BINDINGS = "'workloads.workload', 'economics.valuecase', 'workloads.binding'"
WITHOUT = "'workloads.workload', 'economics.valuecase'"

GRANTS = r"""
CREATE FUNCTION approvals_guard_grant() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    told jsonb;
    decided timestamptz;
BEGIN
    IF NEW.decision_id IS NULL THEN
        -- Two at once take turns, so that the second sees whom the first made administrator.
        PERFORM pg_advisory_xact_lock(7301008);
        IF (SELECT count(DISTINCT person_id) FROM accounts_role_grant WHERE role = 'administrator') > 1 THEN
            RAISE EXCEPTION 'A role takes the decision of somebody else.';
        END IF;
        RETURN NEW;
    END IF;
    SELECT c.proposed, d.decided_at INTO told, decided
      FROM approvals_decision d JOIN approvals_confirmation c ON c.id = d.confirmation_id
     WHERE d.id = NEW.decision_id AND d.verdict = 'confirm' AND c.kind = 'role'
       AND c.subject_kind = 'accounts.person' AND c.subject_id = NEW.person_id AND c.asked_by_id = NEW.granted_by_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'A role takes the decision of somebody else.';
    END IF;
    IF told ->> 'role' <> NEW.role OR (told ->> 'cost_centre')::bigint IS DISTINCT FROM NEW.cost_centre_id
       OR (told ->> 'valid_to')::timestamptz IS DISTINCT FROM NEW.valid_to
       OR NEW.valid_from < coalesce((told ->> 'valid_from')::timestamptz, decided - interval '1 minute') THEN
        RAISE EXCEPTION 'The role says more than was confirmed.';
    END IF;
    -- A date of one's own choice would let it count for what was asked before.
    NEW.granted_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_grant BEFORE INSERT ON accounts_role_grant
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_grant();
"""
GRANTS_BACK = r"""
DROP TRIGGER approvals_guard_grant ON accounts_role_grant;
DROP FUNCTION approvals_guard_grant();
"""


class Migration(migrations.Migration):
    dependencies = [("approvals", "0003_attestation")]
    operations = [
        migrations.RunSQL(HOLDS.format(part=WHOLE), HOLDS.format(part=ANY)),
        migrations.RunSQL(DOER.format(kinds=ALSO_BINDINGS), DOER.format(kinds=WITHOUT)),
        migrations.RunSQL(GRANTS, GRANTS_BACK),
    ]
