"""A use case moves, is counted otherwise or goes on by the decision of somebody else, and a cap by one, too.

A decision counts in its own transaction and never again: what it was about could have come and gone since.
"""

from django.db import migrations

# A command that sets an organisation up asks nobody, as long as nobody could confirm (see 0004).
CARDS = r"""
CREATE FUNCTION approvals_decided_now(about bigint, what text) RETURNS SETOF approvals_confirmation
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT c.* FROM approvals_confirmation c JOIN approvals_decision d ON d.confirmation_id = c.id
     WHERE c.workload_id = about AND c.kind = what AND d.verdict = 'confirm'
       AND d.decided_at >= transaction_timestamp()
$$;

CREATE FUNCTION approvals_guard_card() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    founding boolean := (
        SELECT count(DISTINCT person_id) FROM accounts_role_grant WHERE role = 'administrator') < 2;
BEGIN
    IF NOT founding AND OLD.cost_centre_id IS DISTINCT FROM NEW.cost_centre_id AND NOT EXISTS (
        SELECT FROM approvals_decided_now(NEW.id, 'cost_centre') c
         WHERE c.standing ->> 'cost_centre' = OLD.cost_centre_id::text
           AND c.proposed ->> 'cost_centre' = NEW.cost_centre_id::text) THEN
        RAISE EXCEPTION 'The cost centre of a registered workload takes the decision of somebody else.';
    END IF;
    IF NOT founding AND OLD.output_unit <> NEW.output_unit AND NOT EXISTS (
        SELECT FROM approvals_decided_now(NEW.id, 'output_unit') c
         WHERE c.standing ->> 'output_unit' = OLD.output_unit
           AND c.proposed ->> 'output_unit' = NEW.output_unit) THEN
        RAISE EXCEPTION 'What counts as useful takes the decision of somebody else.';
    END IF;
    IF ((OLD.state <> 'active' AND NEW.state = 'active') OR (OLD.stage = 'sunset' AND NEW.stage <> 'sunset'))
       AND NOT EXISTS (
        SELECT FROM approvals_decided_now(NEW.id, 'resume') c
         WHERE (c.standing ->> 'state', c.standing ->> 'stage') = (OLD.state, OLD.stage)
           AND (c.proposed ->> 'state', c.proposed ->> 'stage') = (NEW.state, NEW.stage)) THEN
        RAISE EXCEPTION 'The way back of a workload takes the decision of somebody else.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_card BEFORE UPDATE ON workloads_workload
    FOR EACH ROW WHEN (OLD.state <> 'draft' AND (
        OLD.cost_centre_id IS DISTINCT FROM NEW.cost_centre_id OR OLD.output_unit <> NEW.output_unit
        OR (OLD.state <> 'active' AND NEW.state = 'active') OR (OLD.stage = 'sunset' AND NEW.stage <> 'sunset')))
    EXECUTE FUNCTION approvals_guard_card();
"""
CARDS_BACK = r"""
DROP TRIGGER approvals_guard_card ON workloads_workload;
DROP FUNCTION approvals_guard_card();
DROP FUNCTION approvals_decided_now(bigint, text);
"""

# What holds already may be written again in another state, or less of it: a budget that was set for later before it
# was capped lies above the cap.
CAPS = r"""
CREATE FUNCTION approvals_guard_cap() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    capped numeric;
    held numeric;
BEGIN
    SELECT b.cap INTO capped FROM budgets_budget b
     WHERE b.workload_id IS NOT DISTINCT FROM NEW.workload_id
       AND b.cost_centre_id IS NOT DISTINCT FROM NEW.cost_centre_id AND b.month <= NEW.month AND b.cap IS NOT NULL
     ORDER BY b.month DESC, b.version DESC LIMIT 1;
    IF capped IS NULL
       OR (NEW.state <> 'ended' AND NEW.amount <= capped AND coalesce(NEW.cap, capped) <= capped) THEN
        RETURN NEW;
    END IF;
    SELECT b.amount INTO held FROM budgets_budget b
     WHERE b.workload_id IS NOT DISTINCT FROM NEW.workload_id
       AND b.cost_centre_id IS NOT DISTINCT FROM NEW.cost_centre_id AND b.month <= NEW.month
     ORDER BY b.month DESC, b.version DESC LIMIT 1;
    IF NEW.state <> 'ended' AND NEW.amount <= held AND coalesce(NEW.cap, held) <= held THEN
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT FROM approvals_decided_now(NEW.workload_id, 'budget') c
          JOIN approvals_decision d ON d.confirmation_id = c.id
         WHERE d.id = NEW.decision_id AND (c.proposed ->> 'month')::date = NEW.month
           AND (c.proposed ->> 'amount')::numeric = NEW.amount AND NEW.cap IS NOT DISTINCT FROM NEW.amount) THEN
        RAISE EXCEPTION 'More than a review capped a budget at takes the decision of somebody else.';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_cap BEFORE INSERT ON budgets_budget
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_cap();
"""
CAPS_BACK = r"""
DROP TRIGGER approvals_guard_cap ON budgets_budget;
DROP FUNCTION approvals_guard_cap();
"""

# Looked at when the transaction commits: whoever asks for a move has it tried and taken back first.
CENTRES = r"""
CREATE FUNCTION approvals_guard_centre() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM accounts_cost_centre c LEFT JOIN accounts_cost_centre above ON above.id = c.parent_id
         WHERE c.id = NEW.id AND c.path <> coalesce(above.path, '/') || c.id || '/') THEN
        RAISE EXCEPTION 'The path of a cost centre leads over its parent.';
    END IF;
    IF OLD.parent_id IS DISTINCT FROM NEW.parent_id
       AND (SELECT count(DISTINCT person_id) FROM accounts_role_grant WHERE role = 'administrator') > 1
       AND NOT EXISTS (
        SELECT FROM approvals_confirmation c JOIN approvals_decision d ON d.confirmation_id = c.id
         WHERE c.kind = 'centre_move' AND c.subject_kind = 'accounts.costcentre' AND c.subject_id = NEW.id
           AND d.verdict = 'confirm' AND d.decided_at >= transaction_timestamp()
           AND (c.proposed ->> 'parent')::bigint IS NOT DISTINCT FROM NEW.parent_id) THEN
        RAISE EXCEPTION 'A cost centre moves by the decision of somebody else.';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approvals_guard_centre AFTER UPDATE ON accounts_cost_centre DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.parent_id IS DISTINCT FROM NEW.parent_id OR OLD.path <> NEW.path)
    EXECUTE FUNCTION approvals_guard_centre();
"""
CENTRES_BACK = r"""
DROP TRIGGER approvals_guard_centre ON accounts_cost_centre;
DROP FUNCTION approvals_guard_centre();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0008_passed_on"),
        ("accounts", "0004_passed_on"),
        ("budgets", "0002_caps"),
        ("workloads", "0003_mandate"),
    ]
    operations = [
        migrations.RunSQL(CARDS, CARDS_BACK),
        migrations.RunSQL(CAPS, CAPS_BACK),
        migrations.RunSQL(CENTRES, CENTRES_BACK),
    ]
