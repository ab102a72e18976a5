-- +goose NO TRANSACTION
-- +goose Up
-- What is due of one kind, in order: an outage that leaves a crowd of refunds waiting
-- does not stand between the sweep and the charges that it has to look up. Built beside
-- the running sale, as in 002.

DROP INDEX CONCURRENTLY IF EXISTS payment_attempt_due;
CREATE INDEX CONCURRENTLY payment_attempt_due ON payment_attempt (kind, next_try_at)
    WHERE state IN ('REQUESTED', 'UNKNOWN', 'PENDING');

-- Who looks for both kinds looks for one after the other.
DROP INDEX CONCURRENTLY IF EXISTS payment_attempt_waiting;
