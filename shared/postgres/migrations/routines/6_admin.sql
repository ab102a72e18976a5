-- grant_points moves a balance by a signed amount; below 0 is refused by constraint.
CREATE OR REPLACE FUNCTION grant_points(p_user bigint, p_amount text, p_reason text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result numeric;
BEGIN
    INSERT INTO user_point (user_id) VALUES (p_user) ON CONFLICT ON CONSTRAINT user_point_pkey DO NOTHING;
    UPDATE user_point SET balance = balance + p_amount::numeric, updated_at = now()
    WHERE user_id = p_user RETURNING balance INTO result;
    INSERT INTO point_ledger (user_id, delta, kind, reason) VALUES (p_user, p_amount::numeric, 'GRANT', p_reason);
    RETURN result::text;
END $$;
