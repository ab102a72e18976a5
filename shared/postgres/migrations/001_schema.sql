-- +goose Up
-- The tables of the sale. Money is numeric(15,2), never NaN; every time is the
-- database's; every constraint has a name, which one function maps to the domain's
-- errors.

CREATE TABLE product (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    name            varchar(200) NOT NULL,
    price           numeric(15,2) NOT NULL,
    remaining_stock integer NOT NULL,
    total_stock     integer NOT NULL,
    sale_start_at   timestamptz NOT NULL,
    check_in_at     timestamptz NOT NULL,
    check_out_at    timestamptz NOT NULL,
    status          varchar(20) NOT NULL DEFAULT 'ACTIVE',
    version         bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT product_pkey PRIMARY KEY (id),
    CONSTRAINT product_price_positive CHECK (price > 0 AND price <> 'NaN'),
    CONSTRAINT product_stock_in_bounds CHECK (remaining_stock >= 0 AND remaining_stock <= total_stock),
    CONSTRAINT product_dates_in_order CHECK (sale_start_at <= check_in_at AND check_in_at < check_out_at),
    CONSTRAINT product_status_known CHECK (status IN ('ACTIVE', 'SOLD_OUT', 'INACTIVE')),
    CONSTRAINT product_status_follows_stock CHECK (status = 'INACTIVE' OR (status = 'SOLD_OUT') = (remaining_stock = 0))
);

-- The status follows the stock, and the version rises with every fact that the gate
-- keeps, whoever writes the row.
-- +goose StatementBegin
CREATE FUNCTION product_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'INACTIVE' THEN
        NEW.status := CASE WHEN NEW.remaining_stock = 0 THEN 'SOLD_OUT' ELSE 'ACTIVE' END;
    END IF;
    IF TG_OP = 'UPDATE' AND (
        NEW.total_stock, NEW.sale_start_at, NEW.check_in_at, NEW.status = 'INACTIVE'
    ) IS DISTINCT FROM (
        OLD.total_stock, OLD.sale_start_at, OLD.check_in_at, OLD.status = 'INACTIVE'
    ) THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER product_follow BEFORE INSERT OR UPDATE ON product
    FOR EACH ROW EXECUTE FUNCTION product_follow();

CREATE TABLE stock_adjustment (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    product_id bigint NOT NULL,
    delta      integer NOT NULL,
    reason     varchar(500) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_adjustment_pkey PRIMARY KEY (id),
    CONSTRAINT stock_adjustment_product FOREIGN KEY (product_id) REFERENCES product (id)
);
CREATE INDEX stock_adjustment_by_product ON stock_adjustment (product_id);

CREATE TABLE booking (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    user_id         bigint NOT NULL,
    product_id      bigint NOT NULL,
    total_amount    numeric(15,2) NOT NULL,
    status          varchar(20) NOT NULL DEFAULT 'INIT',
    hold_token      varchar(64) NOT NULL,
    hold_expires_at timestamptz NOT NULL,
    check_in_at     timestamptz NOT NULL,
    failure_code    varchar(40),
    failure_detail  varchar(500),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT booking_pkey PRIMARY KEY (id),
    CONSTRAINT booking_product FOREIGN KEY (product_id) REFERENCES product (id),
    CONSTRAINT booking_user_positive CHECK (user_id > 0),
    CONSTRAINT booking_total_positive CHECK (total_amount > 0 AND total_amount <> 'NaN'),
    CONSTRAINT booking_status_known CHECK (status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED', 'FAILED', 'CANCELLED')),
    CONSTRAINT booking_failure_if_failed CHECK ((status = 'FAILED') = (failure_code IS NOT NULL)),
    CONSTRAINT booking_hold_token_once UNIQUE (hold_token)
);
CREATE UNIQUE INDEX booking_one_open ON booking (user_id, product_id)
    WHERE status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED');
CREATE INDEX booking_by_user ON booking (user_id, id DESC);
CREATE INDEX booking_live_by_deadline ON booking (hold_expires_at)
    WHERE status IN ('INIT', 'PAYMENT_PENDING');
CREATE INDEX booking_open_by_product ON booking (product_id)
    WHERE status IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED');

-- Tokens that were refused and are being released: nobody adopts their hold.
CREATE TABLE spent_token (
    token      varchar(64) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT spent_token_pkey PRIMARY KEY (token)
);
CREATE INDEX spent_token_by_age ON spent_token (created_at);

CREATE TABLE payment (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    booking_id     bigint NOT NULL,
    payment_method varchar(20) NOT NULL,
    amount         numeric(15,2) NOT NULL,
    status         varchar(20) NOT NULL DEFAULT 'READY',
    order_id       varchar(64),
    hold_extended  boolean NOT NULL DEFAULT false, -- an approval has lengthened the hold, once
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_pkey PRIMARY KEY (id),
    CONSTRAINT payment_booking FOREIGN KEY (booking_id) REFERENCES booking (id),
    CONSTRAINT payment_method_known CHECK (payment_method IN ('CARD', 'YPAY', 'POINT')),
    CONSTRAINT payment_amount_positive CHECK (amount > 0 AND amount <> 'NaN'),
    CONSTRAINT payment_status_known CHECK (status IN ('READY', 'SUCCESS', 'FAILED', 'CANCELLED')),
    CONSTRAINT payment_order_unless_point CHECK ((payment_method = 'POINT') = (order_id IS NULL)),
    CONSTRAINT payment_order_once UNIQUE (order_id)
);
CREATE INDEX payment_by_booking ON payment (booking_id);
CREATE UNIQUE INDEX payment_one_live_point ON payment (booking_id)
    WHERE payment_method = 'POINT' AND status IN ('READY', 'SUCCESS');
CREATE UNIQUE INDEX payment_one_live_charge ON payment (booking_id)
    WHERE payment_method <> 'POINT' AND status IN ('READY', 'SUCCESS');

CREATE TABLE user_point (
    user_id    bigint NOT NULL,
    balance    numeric(15,2) NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_point_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_point_user_positive CHECK (user_id > 0),
    CONSTRAINT user_point_not_negative CHECK (balance >= 0 AND balance <> 'NaN')
);

CREATE TABLE point_ledger (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    user_id    bigint NOT NULL,
    delta      numeric(15,2) NOT NULL,
    kind       varchar(20) NOT NULL,
    payment_id bigint,
    reason     varchar(500) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT point_ledger_pkey PRIMARY KEY (id),
    CONSTRAINT point_ledger_user FOREIGN KEY (user_id) REFERENCES user_point (user_id),
    CONSTRAINT point_ledger_payment FOREIGN KEY (payment_id) REFERENCES payment (id),
    CONSTRAINT point_ledger_delta_moves CHECK (delta <> 0 AND delta <> 'NaN'),
    CONSTRAINT point_ledger_kind_known CHECK (kind IN ('GRANT', 'DEBIT', 'CREDIT')),
    CONSTRAINT point_ledger_payment_unless_grant CHECK ((kind = 'GRANT') = (payment_id IS NULL)),
    CONSTRAINT point_ledger_once UNIQUE (payment_id, kind)
);
CREATE INDEX point_ledger_by_user ON point_ledger (user_id);

-- The durable intent of each gateway call, committed before a byte is sent. A row of
-- kind CANCEL is the command to refund, whatever becomes of the booking.
CREATE TABLE payment_attempt (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    payment_id      bigint NOT NULL,
    booking_id      bigint NOT NULL,
    kind            varchar(10) NOT NULL,
    state           varchar(10) NOT NULL,
    order_id        varchar(64) NOT NULL,
    idempotency_key varchar(80) NOT NULL,
    payment_key     varchar(200) NOT NULL,
    amount          numeric(15,2) NOT NULL,
    owner           varchar(64),
    lease_until     timestamptz,
    sendable_until  timestamptz, -- the last moment at which a confirm can have been sent
    tries           integer NOT NULL DEFAULT 0,
    next_try_at     timestamptz,
    reference       varchar(200),
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payment_attempt_pkey PRIMARY KEY (id),
    CONSTRAINT payment_attempt_payment FOREIGN KEY (payment_id) REFERENCES payment (id),
    CONSTRAINT payment_attempt_booking FOREIGN KEY (booking_id) REFERENCES booking (id),
    CONSTRAINT payment_attempt_one_per_kind UNIQUE (payment_id, kind),
    CONSTRAINT payment_attempt_key_once UNIQUE (idempotency_key),
    CONSTRAINT payment_attempt_amount_positive CHECK (amount > 0 AND amount <> 'NaN'),
    CONSTRAINT payment_attempt_state_known CHECK (
        kind = 'APPROVE' AND state IN ('REQUESTED', 'UNKNOWN', 'APPROVED', 'DECLINED', 'CLOSED')
        OR kind = 'CANCEL' AND state IN ('PENDING', 'DONE'))
);
CREATE INDEX payment_attempt_by_booking ON payment_attempt (booking_id);
CREATE INDEX payment_attempt_waiting ON payment_attempt (next_try_at)
    WHERE state IN ('REQUESTED', 'UNKNOWN', 'PENDING');

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    booking_id bigint NOT NULL,
    task       varchar(20) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,
    CONSTRAINT outbox_pkey PRIMARY KEY (id),
    CONSTRAINT outbox_booking FOREIGN KEY (booking_id) REFERENCES booking (id),
    CONSTRAINT outbox_task_known CHECK (task IN ('compensate', 'resolve'))
);
CREATE INDEX outbox_unsent ON outbox (created_at) WHERE sent_at IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX outbox_by_booking ON outbox (booking_id);

-- What a request was answered, so that its repeat is answered the same. A row without
-- an outcome is the claim of an approval in flight, void when its lease has ended.
CREATE TABLE idempotency_key (
    user_id       bigint NOT NULL,
    scope         varchar(200) NOT NULL,
    key           varchar(255) NOT NULL,
    fingerprint   varchar(64) NOT NULL,
    request_id    varchar(100) NOT NULL,
    outcome       jsonb,
    claimed_until timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (user_id, scope, key),
    CONSTRAINT idempotency_key_claim_or_outcome CHECK ((outcome IS NULL) <> (claimed_until IS NULL))
);
CREATE INDEX idempotency_key_by_age ON idempotency_key (created_at);

CREATE TABLE booking_event (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    booking_id bigint NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    event      varchar(40) NOT NULL,
    detail     varchar(500) NOT NULL DEFAULT '',
    CONSTRAINT booking_event_pkey PRIMARY KEY (id),
    CONSTRAINT booking_event_booking FOREIGN KEY (booking_id) REFERENCES booking (id)
);
CREATE INDEX booking_event_by_booking ON booking_event (booking_id, id);
