-- +goose NO TRANSACTION
-- +goose Up
-- One product's bookings, and its open ones, page by page. Built beside the running
-- sale: CONCURRENTLY locks nobody out, and a build that was cut off leaves an invalid
-- index, which is dropped before the next try.

DROP INDEX CONCURRENTLY IF EXISTS booking_by_product;
CREATE INDEX CONCURRENTLY booking_by_product ON booking (product_id, id);

DROP INDEX CONCURRENTLY IF EXISTS booking_open_in_order;
CREATE INDEX CONCURRENTLY booking_open_in_order ON booking (product_id, id)
    WHERE status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED');

-- The index in order serves whatever this one did.
DROP INDEX CONCURRENTLY IF EXISTS booking_open_by_product;
