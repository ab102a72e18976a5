-- Who may do what. The functions log in as a member of stayhold_app, which may read, and
-- may call the entries below; it may write no table and make nothing. An entry runs with
-- its owner's rights, on this schema alone (a temporary table cannot stand in for ours),
-- and nobody else may call it. The rest of the routines run with the rights of whoever
-- calls them, which outside an entry is not enough to write.
--
-- What an entry looks for is few rows of its own. Its plans are made once in a session,
-- and none of them reads a table whole that was empty then.
--
-- A migration that may not make roles goes on without: who makes the role by hand
-- migrates once more.
DO $$
DECLARE
    entries text[] := ARRAY[
        'open_booking', 'register_payments', 'complete_booking', 'surrender_booking', 'cancel_booking', 'lapse_booking',
        'begin_approval', 'claim_approval', 'end_approval', 'claim_refund', 'end_refund',
        'insert_product', 'update_product', 'adjust_stock', 'grant_points',
        'redrive_booking', 'redrive_some', 'mark_sent', 'purge'];
    tables text[] := ARRAY[
        'product', 'stock_adjustment', 'booking', 'spent_token', 'payment', 'user_point', 'point_ledger',
        'payment_attempt', 'outbox', 'idempotency_key', 'booking_event'];
    home text := current_schema();
    one text;
BEGIN
    FOREACH one IN ARRAY entries LOOP
        EXECUTE format('ALTER FUNCTION %I SECURITY DEFINER SET search_path = %I, pg_temp', one, home);
        EXECUTE format('ALTER FUNCTION %I SET enable_seqscan = off SET plan_cache_mode = force_generic_plan', one);
        EXECUTE format('REVOKE ALL ON FUNCTION %I FROM PUBLIC', one);
    END LOOP;
    IF has_schema_privilege('public', home, 'CREATE') THEN
        EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', home);
    END IF;
    IF has_database_privilege('public', current_database(), 'CREATE, TEMPORARY') THEN
        EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;

    -- The role is the whole server's: another database's migration may make it meanwhile.
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stayhold_app') THEN
        BEGIN
            CREATE ROLE stayhold_app NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;
            WHEN insufficient_privilege THEN RETURN;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO stayhold_app', home);
    FOREACH one IN ARRAY tables LOOP
        IF NOT has_table_privilege('stayhold_app', format('%I.%I', home, one), 'SELECT') THEN
            EXECUTE format('GRANT SELECT ON %I TO stayhold_app', one);
        END IF;
    END LOOP;
    FOREACH one IN ARRAY entries LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %I TO stayhold_app', one);
    END LOOP;
END $$;
