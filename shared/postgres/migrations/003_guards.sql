-- +goose NO TRANSACTION
-- +goose Up
-- A state that ended does not change, a step that the state diagram does not have is
-- not made, and what was written down is not rewritten: held here once more, behind the
-- routines, so that a slip in one of them is refused and not stored.
--
-- An UPDATE calls its function each time. A WHEN would not spare it anything: Postgres
-- reads a WHEN from its text for each statement, and with all of a diagram in it that
-- takes three times as long as the call.
--
-- Each trigger is put in place by itself. It waits for the transactions that write its
-- table, and everybody who wants to write there waits behind it: a second at most, then
-- the migration fails, and goes on from there when it is run again.

-- refuse ends whatever a trigger has found, whoever runs it by whatever right; but for
-- the table's owner in person (not in a routine that was called by somebody else), who
-- has to put rows right by hand.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION refuse(p_table oid, p_trigger text, p_row bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = p_table), 'MEMBER') THEN
        RAISE EXCEPTION '% refuses it', concat_ws(' ', p_trigger, p_row) USING ERRCODE = 'SH020';
    END IF;
END $$;
-- +goose StatementEnd

-- guard is for what is refused always, and for what a WHEN has found.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(TG_RELID, TG_NAME, NULL);
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION booking_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NOT CASE OLD.status
        WHEN 'INIT' THEN NEW.status IN ('INIT', 'PAYMENT_PENDING', 'FAILED', 'CANCELLED')
        WHEN 'PAYMENT_PENDING' THEN NEW.status IN ('PAYMENT_PENDING', 'INIT', 'CONFIRMED', 'FAILED', 'CANCELLED')
        WHEN 'CONFIRMED' THEN NEW.status IN ('CONFIRMED', 'CANCELLED')
        ELSE false END
    ) THEN
        PERFORM refuse(TG_RELID, TG_NAME, OLD.id);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NOT CASE OLD.status
        WHEN 'READY' THEN true
        WHEN 'SUCCESS' THEN NEW.status IN ('SUCCESS', 'CANCELLED')
        ELSE false END
    ) THEN
        PERFORM refuse(TG_RELID, TG_NAME, OLD.id);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- Money that turns up after a charge was declined or closed is the one thing that an
-- attempt may still learn; what was never sent is the one kind that may be removed.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment_attempt_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NOT CASE OLD.state
        WHEN 'REQUESTED' THEN true
        WHEN 'UNKNOWN' THEN NEW.state <> 'REQUESTED'
        WHEN 'PENDING' THEN true
        WHEN 'DECLINED' THEN NEW.state = 'APPROVED'
        WHEN 'CLOSED' THEN NEW.state = 'APPROVED'
        ELSE false END
    ) THEN
        PERFORM refuse(TG_RELID, TG_NAME, OLD.id);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
DECLARE one text;
BEGIN
    FOREACH one IN ARRAY ARRAY[
        $t$booking_begins BEFORE INSERT ON booking FOR EACH ROW WHEN (NEW.status <> 'INIT') EXECUTE FUNCTION guard()$t$,
        $t$booking_moves BEFORE UPDATE ON booking FOR EACH ROW EXECUTE FUNCTION booking_moves()$t$,
        $t$booking_stays BEFORE DELETE OR TRUNCATE ON booking FOR EACH STATEMENT EXECUTE FUNCTION guard()$t$,
        $t$payment_begins BEFORE INSERT ON payment FOR EACH ROW WHEN (NEW.status <> 'READY') EXECUTE FUNCTION guard()$t$,
        $t$payment_moves BEFORE UPDATE ON payment FOR EACH ROW EXECUTE FUNCTION payment_moves()$t$,
        $t$payment_stays BEFORE DELETE OR TRUNCATE ON payment FOR EACH STATEMENT EXECUTE FUNCTION guard()$t$,
        $t$payment_attempt_begins BEFORE INSERT ON payment_attempt FOR EACH ROW WHEN (NEW.state NOT IN ('REQUESTED', 'PENDING')) EXECUTE FUNCTION guard()$t$,
        $t$payment_attempt_moves BEFORE UPDATE ON payment_attempt FOR EACH ROW EXECUTE FUNCTION payment_attempt_moves()$t$,
        $t$payment_attempt_goes BEFORE DELETE ON payment_attempt FOR EACH ROW WHEN (OLD.state NOT IN ('REQUESTED', 'UNKNOWN')) EXECUTE FUNCTION guard()$t$,
        $t$payment_attempt_stays BEFORE TRUNCATE ON payment_attempt FOR EACH STATEMENT EXECUTE FUNCTION guard()$t$,
        $t$point_ledger_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON point_ledger FOR EACH STATEMENT EXECUTE FUNCTION guard()$t$,
        $t$stock_adjustment_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON stock_adjustment FOR EACH STATEMENT EXECUTE FUNCTION guard()$t$,
        $t$booking_event_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON booking_event FOR EACH STATEMENT EXECUTE FUNCTION guard()$t$
    ] LOOP
        SET LOCAL lock_timeout = '1s';
        EXECUTE 'CREATE OR REPLACE TRIGGER ' || one;
        COMMIT;
    END LOOP;
END $$;
-- +goose StatementEnd
