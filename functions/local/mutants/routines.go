package main

// routineMutants take guards out of the transactions.
var routineMutants = []mutant{
	{
		name: "stock-guard",
		why:  "the last unit is sold to everybody who holds one",
		edits: []edit{
			{bookingFile, "    WHERE id = b.product_id AND remaining_stock > 0;", "    WHERE id = b.product_id;"},
			{schemaFile, "CHECK (remaining_stock >= 0 AND remaining_stock <= total_stock)", "CHECK (remaining_stock <= total_stock)"},
		},
		killer: byFlow("TestStockGoneAtComplete"),
	},
	{
		name:   "stock-as-absolute-value",
		why:    "the stock is read, lessened and written back: decrements of a hot product are lost",
		edits:  []edit{{bookingFile, "SET remaining_stock = remaining_stock - 1,", "SET remaining_stock = (SELECT q.remaining_stock - 1 FROM product q WHERE q.id = b.product_id),"}},
		killer: byFlow("TestEveryUnitIsCounted"),
	},
	{
		name:   "unit-per-complete",
		why:    "three completes of one booking take three units",
		edits:  []edit{{bookingFile, "    IF b.status = 'CONFIRMED' THEN\n        RETURN remember(p_key, outcome(b.id));\n    END IF;\n    IF b.status NOT IN", "    IF b.status = 'CONFIRMED' THEN\n        UPDATE product SET remaining_stock = remaining_stock - 1 WHERE id = b.product_id AND remaining_stock > 0;\n        RETURN remember(p_key, outcome(b.id));\n    END IF;\n    IF b.status NOT IN"}},
		killer: byFlow("TestEveryPaymentSetIsSold"),
	},
	{
		name: "balance-guard",
		why:  "the same points are spent by two bookings",
		edits: []edit{
			{bookingFile, "        WHERE user_id = p_user AND balance >= points.amount;", "        WHERE user_id = p_user;"},
			{rulesFile, "balance <@ '[0,NaN)'", "balance <@ '(,NaN)'"},
		},
		killer: byFlow("TestSamePointsAreSpentOnce"),
	},
	{
		name:   "points-kept-on-cancel",
		why:    "a cancelled stay keeps its points",
		edits:  []edit{{fenceFile, "    PERFORM return_points(b);\n", ""}},
		killer: byFlow("TestEveryPaymentSetIsSold"),
	},
	{
		name:   "hold-not-checked-at-complete",
		why:    "a lapsed hold completes beside the buyer who got its unit",
		edits:  []edit{{bookingFile, "IF p_held IS NULL AND b.hold_expires_at <", "IF p_held IS NULL AND b.created_at >"}},
		killer: byFlow("TestLapsedHoldWithoutAUnit"),
	},
	{
		name:   "outbox-row-missing",
		why:    "the message is sent without a row: when the queue is away, nobody sends it again",
		edits:  []edit{{outcomeFile, "    INSERT INTO outbox (booking_id, task) VALUES (p_booking, p_task)\n    RETURNING jsonb_build_array(jsonb_build_object('id', id, 'task', task, 'bookingId', booking_id)) INTO sending;", "    sending := jsonb_build_array(jsonb_build_object('id', 0, 'task', p_task, 'bookingId', p_booking));"}},
		killer: byFlow("TestLostMessagesAreSentBySweep"),
	},
	{
		name:   "acknowledged-on-skip-locked",
		why:    "a message that comes while the fence is not committed sees no row and is acknowledged: the refund is lost to it",
		edits:  []edit{{refundFile, "    PERFORM FROM booking WHERE id = p_booking FOR UPDATE;\n", "    PERFORM FROM booking WHERE id = p_booking FOR UPDATE SKIP LOCKED;\n    IF NOT FOUND THEN\n        RETURN NULL;\n    END IF;\n"}, {approvalFile, "    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE;\n    SELECT * INTO a FROM payment_attempt\n", "    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE SKIP LOCKED;\n    SELECT * INTO a FROM payment_attempt\n"}},
		killer: byFlow("TestEarlyMessageWaitsForItsTransaction"),
	},
	{
		name:   "owner-at-register",
		why:    "anybody registers a payment for anybody's booking",
		edits:  []edit{{bookingFile, "charge payment; parts text[]; asked record;\nBEGIN\n    SELECT * INTO b FROM booking WHERE id = p_booking AND user_id = p_user FOR UPDATE;", "charge payment; parts text[]; asked record;\nBEGIN\n    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE;"}},
		killer: byFlow("TestAnothersBookingIsNotThere"),
	},
	{
		name:   "owner-at-approve",
		why:    "anybody has anybody's booking charged",
		edits:  []edit{{approvalFile, "WHERE id = p_booking AND user_id = p_user FOR UPDATE;", "WHERE id = p_booking FOR UPDATE;"}},
		killer: byFlow("TestAnothersBookingIsNotThere"),
	},
	{
		name:   "owner-at-complete",
		why:    "anybody completes anybody's booking",
		edits:  []edit{{bookingFile, "attempt payment_attempt; points payment; result jsonb;\nBEGIN\n    SELECT * INTO b FROM booking WHERE id = p_booking AND user_id = p_user FOR UPDATE;", "attempt payment_attempt; points payment; result jsonb;\nBEGIN\n    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE;"}},
		killer: byFlow("TestAnothersBookingIsNotThere"),
	},
	{
		name:   "owner-at-cancel",
		why:    "anybody cancels anybody's booking",
		edits:  []edit{{bookingFile, "WHERE id = p_booking AND (p_user = 0 OR user_id = p_user) FOR UPDATE;", "WHERE id = p_booking FOR UPDATE;"}},
		killer: byFlow("TestAnothersBookingIsNotThere"),
	},
	{
		name:   "owner-at-read",
		why:    "anybody reads anybody's booking",
		edits:  []edit{{adapters + "read.go", "FROM booking b WHERE b.id = $1 AND (b.user_id = $2 OR $2 = 0)", "FROM booking b WHERE b.id = $1 AND ($2::bigint IS NOT NULL)"}},
		killer: byFlow("TestAnothersBookingIsNotThere"),
	},
	{
		name:   "register-beside-a-charge",
		why:    "the payment set is replaced while its charge is under way: paid twice",
		edits:  []edit{{bookingFile, "WHERE a.payment_id = charge.id AND a.kind = 'APPROVE' AND a.state || '' IN ('REQUESTED', 'UNKNOWN')\n    ) THEN\n        RETURN outcome(b.id, 'PAYMENT_IN_PROGRESS');", "WHERE a.payment_id = charge.id AND a.kind = 'APPROVE' AND a.state IN ('NONE')\n    ) THEN\n        RETURN outcome(b.id, 'PAYMENT_IN_PROGRESS');"}},
		killer: byFlow("TestUnknownThatWasCharged"),
	},
	{
		name: "paid-set-replaced",
		why:  "register once more after the charge: the next card is charged as well",
		edits: []edit{
			{bookingFile, "IF b.status NOT IN ('INIT', 'PAYMENT_PENDING') OR charge.status = 'SUCCESS' THEN", "IF b.status NOT IN ('INIT', 'PAYMENT_PENDING') THEN"},
			{schemaFile, "CREATE UNIQUE INDEX payment_one_live_charge", "CREATE INDEX payment_one_live_charge"},
		},
		killer: byFlow("TestPaidSetIsNotReplaced"),
	},
	{
		name:   "another-payment-key-on-retry",
		why:    "a repeat with another payment key is looked up and sent as if it were the first",
		edits:  []edit{{approvalFile, "IF a.payment_key <> p_payment_key OR a.lease_until > moment THEN", "IF a.lease_until > moment THEN"}},
		killer: byFlow("TestUnknownThatWasCharged"),
	},
	{
		name:   "sweep-without-second-look",
		why:    "a hold that an approve lengthened after the sweep had listed it is ended all the same",
		edits:  []edit{{bookingFile, "\n        OR b.hold_expires_at + make_interval(secs => p_grace_ms / 1000.0) > clock_timestamp() THEN", " THEN"}},
		killer: byFlow("TestSweepLooksAgainAtTheDeadline"),
	},
	{
		name:   "hold-extended-each-time",
		why:    "an approve that never sends lengthens the hold again and again",
		edits:  []edit{{approvalFile, "UPDATE payment SET hold_extended = true,", "UPDATE payment SET hold_extended = false,"}},
		killer: byFlow("TestHoldIsLengthenedOncePerPayment"),
	},
	{
		name:   "hold-extended-without-limit",
		why:    "new payments keep a hold alive past its limit",
		edits:  []edit{{approvalFile, "(p.hold_extended OR needed > b.created_at + make_interval(secs => p_limit_ms / 1000.0))", "p.hold_extended"}},
		killer: byFlow("TestHoldIsLengthenedOncePerPayment"),
	},
	{
		name: "second-command-to-refund",
		why:  "one payment bears two commands to give its money back",
		edits: []edit{
			{schemaFile, "CONSTRAINT payment_attempt_one_per_kind UNIQUE (payment_id, kind)", "CONSTRAINT payment_attempt_one_per_kind UNIQUE (payment_id, kind, id)"},
			{schemaFile, "CONSTRAINT payment_attempt_key_once UNIQUE (idempotency_key)", "CONSTRAINT payment_attempt_key_once UNIQUE (idempotency_key, id)"},
		},
		killer: byStore("TestOneCommandToRefundPerPayment"),
	},
	{
		name:   "hold-limit-not-exact",
		why:    "a user's reserves at once pass the limit of his holds",
		edits:  []edit{{bookingFile, "    PERFORM pg_advisory_xact_lock(hashint8extended(p_user, 1));\n", ""}},
		killer: byFlow("TestHoldLimitIsExactOverProducts"),
	},
	{
		name:   "refused-token-adopted",
		why:    "a refused token is adopted by the user's next reserve before it is released",
		edits:  []edit{{bookingFile, "        PERFORM spend(p_token, NULL);\n        RETURN refusal('HOLD_LIMIT');", "        RETURN refusal('HOLD_LIMIT');"}},
		killer: byFlow("TestRefusedTokenIsAdoptedByNobody"),
	},
	{
		name:   "outcome-outside-the-transaction",
		why:    "the answer is not stored with the work: the same key reserves again",
		edits:  []edit{{bookingFile, "    result := jsonb_build_object('created', true, 'booking', booking_json(b, '[]'));\n    RETURN remember(p_key, result);", "    result := jsonb_build_object('created', true, 'booking', booking_json(b, '[]'));\n    RETURN result;"}},
		killer: byFlow("TestIdempotencyKeyAtOnce"),
	},
	{
		name:   "pending-answer-stored",
		why:    "a 202 is stored under its key, and its repeat never learns what became of the charge",
		edits:  []edit{{approvalFile, "WHEN result ? 'pending' OR told NOT IN", "WHEN told NOT IN"}},
		killer: byFlow("TestIdempotencyKeyOfAnApproval"),
	},
	{
		name:   "cancel-after-check-in",
		why:    "a stay that has begun is cancelled by its guest",
		edits:  []edit{{bookingFile, "b.status = 'FAILED' OR b.status = 'CONFIRMED' AND p_user <> 0 AND clock_timestamp() >= b.check_in_at", "b.status = 'FAILED'"}},
		killer: byFlow("TestCancelAfterCheckIn"),
	},
}

// leaseMutants let two owners work on one attempt.
var leaseMutants = []mutant{
	{
		name:   "lease-ignored-by-approve",
		why:    "a second approve takes the attempt over while the first one is at the gateway",
		edits:  []edit{{approvalFile, "a.payment_key <> p_payment_key OR a.lease_until > moment THEN", "a.payment_key <> p_payment_key THEN"}},
		killer: byFlow("TestLiveLeaseIsLeftAlone"),
	},
	{
		name:   "lease-ignored-by-resolve",
		why:    "a message takes over a charge that is under way, and its owner's answer is not believed",
		edits:  []edit{{approvalFile, "\n      AND next_try_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())", ""}},
		killer: byFlow("TestLiveLeaseIsLeftAlone"),
	},
	{
		name:   "lease-ignored-by-refund",
		why:    "every message calls the gateway for the same refund at once",
		edits:  []edit{{refundFile, "\n      AND next_try_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())", ""}},
		killer: byFlow("TestLiveLeaseIsLeftAlone"),
	},
	{
		name:   "fresh-key-per-approve",
		why:    "the same charge is sent again under another key, and charged again",
		edits:  []edit{{approvalFile, "        UPDATE payment_attempt SET owner = p_owner, lease_until = leased, next_try_at = leased, updated_at = now(),\n", "        UPDATE payment_attempt SET owner = p_owner, lease_until = leased, next_try_at = leased, updated_at = now(),\n            idempotency_key = 'approve-' || p_owner,\n"}},
		killer: byFlow("TestSameActionKeepsItsKey"),
	},
	{
		name:   "fresh-key-per-cancel",
		why:    "the same refund is sent again under another key",
		edits:  []edit{{refundFile, "UPDATE payment_attempt SET owner = p_owner, lease_until = leased,", "UPDATE payment_attempt SET idempotency_key = 'cancel-' || p_owner, owner = p_owner, lease_until = leased,"}, {refundFile, "'key', a.idempotency_key,", "'key', 'cancel-' || p_owner,"}},
		killer: byFlow("TestSameActionKeepsItsKey"),
	},
}
