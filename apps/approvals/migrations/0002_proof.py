"""What makes a decision valid, held by the database: services say it earlier and in words, and cannot lift it."""

from django.db import migrations

STATEMENT = r"""
ALTER TABLE approvals_confirmation ADD CONSTRAINT approvals_digest_of_statement
    CHECK (digest = encode(sha256(convert_to(statement, 'UTF8')), 'hex'));
ALTER TABLE approvals_confirmation ADD CONSTRAINT approvals_statement_of_columns
    CHECK (statement::jsonb = jsonb_build_object(
        'kind', kind, 'subject_kind', subject_kind, 'subject_id', subject_id, 'key', key,
        'workload', workload_id, 'standing', standing, 'proposed', proposed));
ALTER TABLE approvals_confirmation ADD CONSTRAINT approvals_waits_for_a_month_at_most
    CHECK (expires_at > asked_at AND expires_at <= asked_at + interval '31 days');
"""
STATEMENT_BACK = r"""
ALTER TABLE approvals_confirmation DROP CONSTRAINT approvals_digest_of_statement;
ALTER TABLE approvals_confirmation DROP CONSTRAINT approvals_statement_of_columns;
ALTER TABLE approvals_confirmation DROP CONSTRAINT approvals_waits_for_a_month_at_most;
"""

# Who may decide. A role counts for what was asked after somebody else gave it.
WHO = r"""
CREATE FUNCTION approvals_barrier(who bigint, about bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT why FROM (
        SELECT b.why, 1 AS rank FROM approvals_barred b WHERE b.person_id = who AND b.confirmation_id = about
        UNION ALL
        SELECT 'asked', 1 FROM approvals_confirmation c WHERE c.id = about AND c.asked_by_id = who
        UNION ALL
        SELECT 'owned', 2 FROM approvals_confirmation c JOIN workloads_workload w ON w.id = c.workload_id
         WHERE c.id = about AND who IN (w.business_owner_id, w.technical_owner_id, w.budget_owner_id)
        UNION ALL
        SELECT b.why, 3 FROM approvals_confirmation c JOIN approvals_barred b ON b.workload_id = c.workload_id
         WHERE c.id = about AND b.person_id = who AND b.since >= c.asked_at - interval '90 days'
    ) found ORDER BY rank, why LIMIT 1
$$;

CREATE FUNCTION approvals_holds(who bigint, about bigint, wanted text[]) RETURNS boolean LANGUAGE sql STABLE AS $$
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
           AND (g.cost_centre_id IS NULL OR c.workload_id IS NULL OR starts_with(paying.path, granted.path))
    )
$$;

CREATE FUNCTION approvals_may_decide(who bigint, about bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT approvals_barrier(who, about) IS NULL AND (
            approvals_holds(who, about, c.roles::text[])
            OR (approvals_holds(who, about, c.stand_ins::text[]) AND NOT EXISTS (
                SELECT FROM accounts_person other
                 WHERE other.active
                   AND EXISTS (SELECT FROM accounts_role_grant g
                                WHERE g.person_id = other.id AND g.role = ANY (c.roles::text[]))
                   AND approvals_holds(other.id, about, c.roles::text[])
                   AND approvals_barrier(other.id, about) IS NULL)))
          FROM approvals_confirmation c WHERE c.id = about), false)
$$;
"""
WHO_BACK = r"""
DROP FUNCTION approvals_may_decide(bigint, bigint);
DROP FUNCTION approvals_holds(bigint, bigint, text[]);
DROP FUNCTION approvals_barrier(bigint, bigint);
"""

CONFIRMATION = r"""
CREATE FUNCTION approvals_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'waiting' THEN
        RAISE EXCEPTION 'A confirmation begins waiting.';
    END IF;
    -- A date of one's own choice would move what bars and which roles count.
    NEW.expires_at := NEW.expires_at - NEW.asked_at + clock_timestamp();
    NEW.asked_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_asked BEFORE INSERT ON approvals_confirmation
    FOR EACH ROW EXECUTE FUNCTION approvals_asked();

CREATE FUNCTION approvals_bar_asker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO approvals_barred (person_id, confirmation_id, why, since)
    VALUES (NEW.asked_by_id, NEW.id, 'asked', clock_timestamp());
    -- Whoever wrote a part of what this one replaces has had a hand in it.
    INSERT INTO approvals_barred (person_id, confirmation_id, why, since)
    SELECT DISTINCT person_id, NEW.id, 'wrote', clock_timestamp() FROM approvals_barred
     WHERE confirmation_id = NEW.replaces_id AND why IN ('asked', 'wrote') AND person_id <> NEW.asked_by_id;
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_bar_asker AFTER INSERT ON approvals_confirmation
    FOR EACH ROW EXECUTE FUNCTION approvals_bar_asker();

CREATE FUNCTION approvals_settle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'state' - 'settled_at' IS DISTINCT FROM to_jsonb(OLD) - 'state' - 'settled_at' THEN
        RAISE EXCEPTION 'A proposal is not edited; another one takes its place.';
    END IF;
    IF OLD.state <> 'waiting' OR NEW.state = 'waiting' THEN
        RAISE EXCEPTION 'Confirmation % is %, and stays so.', OLD.id, OLD.state;
    END IF;
    IF NEW.state IN ('confirmed', 'refused') AND NOT EXISTS (
        SELECT FROM approvals_decision d WHERE d.confirmation_id = NEW.id
           AND d.verdict = CASE NEW.state WHEN 'confirmed' THEN 'confirm' ELSE 'refuse' END) THEN
        RAISE EXCEPTION 'Confirmation % is settled by a decision and by nothing else.', NEW.id;
    END IF;
    NEW.settled_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_settle BEFORE UPDATE ON approvals_confirmation
    FOR EACH ROW EXECUTE FUNCTION approvals_settle();
"""
CONFIRMATION_BACK = r"""
DROP TRIGGER approvals_settle ON approvals_confirmation;
DROP TRIGGER approvals_bar_asker ON approvals_confirmation;
DROP TRIGGER approvals_asked ON approvals_confirmation;
DROP FUNCTION approvals_settle();
DROP FUNCTION approvals_bar_asker();
DROP FUNCTION approvals_asked();
"""

DECISION = r"""
CREATE FUNCTION approvals_decide() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    c approvals_confirmation;
    barrier text;
BEGIN
    SELECT * INTO c FROM approvals_confirmation WHERE id = NEW.confirmation_id FOR UPDATE;
    IF c.state <> 'waiting' THEN
        RAISE EXCEPTION 'Confirmation % is no longer waiting: it is %.', c.id, c.state;
    END IF;
    IF c.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'Confirmation % has expired.', c.id;
    END IF;
    IF NEW.digest <> c.digest THEN
        RAISE EXCEPTION 'The decision is about another proposal than confirmation %.', c.id;
    END IF;
    IF NEW.channel <> 'web' OR NEW.session_fresh_at < clock_timestamp() - interval '15 minutes'
       OR NEW.session_fresh_at > clock_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION 'A decision takes a web session that logged in again within 15 minutes.';
    END IF;
    barrier := approvals_barrier(NEW.person_id, c.id);
    IF barrier IS NOT NULL THEN
        RAISE EXCEPTION 'Person % is barred from confirmation %: %.', NEW.person_id, c.id, barrier;
    END IF;
    IF NOT approvals_may_decide(NEW.person_id, c.id) THEN
        RAISE EXCEPTION 'Person % has no role that counts for confirmation %.', NEW.person_id, c.id;
    END IF;
    NEW.decided_at := clock_timestamp();
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_decide BEFORE INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_decide();

CREATE FUNCTION approvals_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE approvals_confirmation
       SET state = CASE NEW.verdict WHEN 'confirm' THEN 'confirmed' ELSE 'refused' END
     WHERE id = NEW.confirmation_id;
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_decided AFTER INSERT ON approvals_decision
    FOR EACH ROW EXECUTE FUNCTION approvals_decided();
"""
DECISION_BACK = r"""
DROP TRIGGER approvals_decided ON approvals_decision;
DROP TRIGGER approvals_decide ON approvals_decision;
DROP FUNCTION approvals_decided();
DROP FUNCTION approvals_decide();
"""

# Whoever owns, edits or attests a workload leaves a row, by whatever way they do it.
BARRED = r"""
CREATE FUNCTION approvals_bar_owners() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owners bigint[] := ARRAY[NEW.business_owner_id, NEW.technical_owner_id, NEW.budget_owner_id, NEW.created_by_id];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF (OLD.business_owner_id, OLD.technical_owner_id, OLD.budget_owner_id)
           IS NOT DISTINCT FROM (NEW.business_owner_id, NEW.technical_owner_id, NEW.budget_owner_id) THEN
            RETURN NULL;
        END IF;
        owners := ARRAY[NEW.business_owner_id, NEW.technical_owner_id, NEW.budget_owner_id,
                        OLD.business_owner_id, OLD.technical_owner_id, OLD.budget_owner_id];
    END IF;
    INSERT INTO approvals_barred (person_id, workload_id, why, since)
    SELECT DISTINCT person, NEW.id, 'owned', clock_timestamp() FROM unnest(owners) person WHERE person IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_bar_owners AFTER INSERT OR UPDATE ON workloads_workload
    FOR EACH ROW EXECUTE FUNCTION approvals_bar_owners();

CREATE FUNCTION approvals_bar_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO approvals_barred (person_id, workload_id, why, since)
    VALUES (NEW.recorded_by_id, NEW.workload_id, 'edited', clock_timestamp());
    RETURN NULL;
END $$;
CREATE TRIGGER approvals_bar_writer AFTER INSERT OR UPDATE ON workloads_revision
    FOR EACH ROW WHEN (NEW.recorded_by_id IS NOT NULL) EXECUTE FUNCTION approvals_bar_writer();

CREATE FUNCTION approvals_bar_doer() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    about text := CASE NEW.subject_kind WHEN 'workloads.workload' THEN NEW.subject_id ELSE NEW.data ->> 'workload' END;
BEGIN
    IF about ~ '^[0-9]{1,18}$' AND EXISTS (SELECT FROM accounts_person p WHERE p.id = NEW.person_id) THEN
        INSERT INTO approvals_barred (person_id, workload_id, why, since)
        VALUES (NEW.person_id, about::bigint, CASE WHEN NEW.verb LIKE 'attested%' THEN 'attested' ELSE 'edited' END,
                clock_timestamp());
    END IF;
    RETURN NULL;
END $$;
-- The card is edited through the trail, which every write leaves; so is the value case, which names its workload.
CREATE TRIGGER approvals_bar_doer AFTER INSERT ON core_audit_event
    FOR EACH ROW WHEN (NEW.person_id IS NOT NULL
                       AND NEW.subject_kind IN ('workloads.workload', 'economics.valuecase'))
    EXECUTE FUNCTION approvals_bar_doer();

-- Whoever owns a workload today has owned it until now.
INSERT INTO approvals_barred (person_id, workload_id, why, since)
SELECT DISTINCT person, w.id, 'owned', clock_timestamp()
  FROM workloads_workload w,
       unnest(ARRAY[w.business_owner_id, w.technical_owner_id, w.budget_owner_id, w.created_by_id]) person
 WHERE person IS NOT NULL;
INSERT INTO approvals_barred (person_id, workload_id, why, since)
SELECT e.person_id, e.subject_id::bigint, 'edited', max(e.at)
  FROM core_audit_event e JOIN accounts_person p ON p.id = e.person_id
 WHERE e.subject_kind = 'workloads.workload' GROUP BY 1, 2;
"""
BARRED_BACK = r"""
DROP TRIGGER approvals_bar_doer ON core_audit_event;
DROP TRIGGER approvals_bar_writer ON workloads_revision;
DROP TRIGGER approvals_bar_owners ON workloads_workload;
DROP FUNCTION approvals_bar_doer();
DROP FUNCTION approvals_bar_writer();
DROP FUNCTION approvals_bar_owners();
"""

# After activation tier, band, failure cost and mandate change by a decision, and only as it says.
REVISIONS = r"""
-- More time for an answer only tightens: a review may do that without asking anybody, and nothing else on the way.
CREATE FUNCTION approvals_is_slower(stood text, becomes text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT b.limit_ms IS NULL OR b.limit_ms > a.limit_ms
          FROM catalog_latency_band a, catalog_latency_band b
         WHERE a.code = stood AND b.code = becomes AND a.limit_ms IS NOT NULL), false)
$$;

CREATE FUNCTION approvals_guard_revision() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stage text;
    before workloads_revision;
    found_one approvals_confirmation;
    field text;
    was text;
    becomes text;
    wanted text;
BEGIN
    SELECT state INTO stage FROM workloads_workload
     WHERE id = CASE TG_OP WHEN 'DELETE' THEN OLD.workload_id ELSE NEW.workload_id END;
    IF TG_OP = 'DELETE' THEN
        IF stage <> 'draft' THEN
            RAISE EXCEPTION 'Cannot delete a revision of a registered workload.';
        END IF;
        RETURN OLD;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(NEW) IS DISTINCT FROM to_jsonb(OLD)
           AND (stage <> 'draft' OR NEW.workload_id <> OLD.workload_id) THEN
            RAISE EXCEPTION 'Cannot rewrite a revision of a registered workload.';
        END IF;
        RETURN NEW;
    END IF;
    SELECT * INTO before FROM workloads_revision WHERE workload_id = NEW.workload_id ORDER BY version DESC LIMIT 1;
    IF NOT FOUND OR stage = 'draft' THEN
        RETURN NEW;
    END IF;
    SELECT c.* INTO found_one FROM approvals_decision d JOIN approvals_confirmation c ON c.id = d.confirmation_id
     WHERE d.id = NEW.decision_id AND d.verdict = 'confirm' AND c.workload_id = NEW.workload_id
       AND c.kind IN ('tier', 'band', 'failure_cost', 'mandate');
    IF NOT FOUND AND NOT approvals_is_slower(before.latency_band_id, NEW.latency_band_id) THEN
        RAISE EXCEPTION 'A revision of a registered workload takes the decision of somebody else.';
    END IF;
    FOREACH field IN ARRAY ARRAY['value_tier', 'latency_band', 'failure_severity', 'failure_cost',
                                 'mandated_reason', 'mandated_by', 'mandated_until'] LOOP
        was := coalesce(to_jsonb(before) ->> field, to_jsonb(before) ->> (field || '_id'));
        becomes := coalesce(to_jsonb(NEW) ->> field, to_jsonb(NEW) ->> (field || '_id'));
        wanted := CASE WHEN found_one.proposed ? field THEN found_one.proposed ->> field
                       WHEN field = 'latency_band' AND found_one.id IS NULL THEN becomes
                       ELSE was END;
        IF (field = 'failure_cost' AND becomes::numeric IS DISTINCT FROM wanted::numeric)
           OR (field <> 'failure_cost' AND becomes IS DISTINCT FROM wanted) THEN
            RAISE EXCEPTION 'The revision says % of %, and % was confirmed.', becomes, field, wanted;
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
CREATE TRIGGER approvals_guard_revision BEFORE INSERT OR UPDATE OR DELETE ON workloads_revision
    FOR EACH ROW EXECUTE FUNCTION approvals_guard_revision();

CREATE FUNCTION approvals_guard_state() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'A registered workload does not become a draft again.';
END $$;
CREATE TRIGGER approvals_guard_state BEFORE UPDATE ON workloads_workload
    FOR EACH ROW WHEN (OLD.state <> 'draft' AND NEW.state = 'draft') EXECUTE FUNCTION approvals_guard_state();
"""
REVISIONS_BACK = r"""
DROP TRIGGER approvals_guard_state ON workloads_workload;
DROP TRIGGER approvals_guard_revision ON workloads_revision;
DROP FUNCTION approvals_guard_state();
DROP FUNCTION approvals_guard_revision();
DROP FUNCTION approvals_is_slower(text, text);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_initial"),
        ("accounts", "0003_outcomes_scope"),
        ("core", "0002_audit_xid"),
        ("workloads", "0003_mandate"),
    ]
    operations = [
        migrations.RunSQL(STATEMENT, STATEMENT_BACK),
        migrations.RunSQL(WHO, WHO_BACK),
        migrations.RunSQL(CONFIRMATION, CONFIRMATION_BACK),
        migrations.RunSQL(DECISION, DECISION_BACK),
        migrations.RunSQL(BARRED, BARRED_BACK),
        migrations.RunSQL(REVISIONS, REVISIONS_BACK),
    ]
