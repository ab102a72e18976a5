package main

// orderMutants are the natural readings of the steps that a search of all states found wrong.
var orderMutants = []mutant{
	{
		name: "refund-before-fence",
		why:  "the refund is commanded while the booking is still PAYMENT_PENDING, and complete sells it meanwhile",
		edits: []edit{
			{bookingFile, "        sending := fence(b, 'FAILED', p_code, p_detail);\n        SELECT * INTO b FROM booking WHERE id = p_booking;", `        PERFORM command_refund(y.id, y.amount) FROM payment y
        WHERE y.booking_id = b.id AND y.payment_method <> 'POINT' AND y.status = 'SUCCESS';
        RETURN outcome(b.id, p_code, compensation(b.id)) || jsonb_build_object('sending', promise(b.id, 'compensate'));`},
			{bookingFile, ` OR EXISTS (
        SELECT FROM payment_attempt c WHERE c.payment_id = charge.id AND c.kind = 'CANCEL'
    ) THEN`, " THEN"},
		},
		killer: byFlow("TestMoneyGoesBackOnlyFromADeadBooking"),
	},
	{
		name:   "not-found-means-not-charged",
		why:    "a look-up finds nothing, the attempt is closed, and the confirm under way charges for nothing",
		edits:  []edit{{steps + "resolve.go", "answer.Verdict == VerdictNotFound && in.Over", "answer.Verdict == VerdictNotFound"}},
		killer: byFlow("TestUnknownThatWasNotCharged"),
	},
	{
		name: "session-judged-after-look-up",
		why:  "nothing found, then charged, then the session ends: judged only now, the charge is closed as never made",
		edits: []edit{
			{steps + "resolve.go", "answer.Verdict == VerdictNotFound && in.Over", "answer.Verdict == VerdictNotFound"},
			{approvalFile, "    IF found = 'APPROVED' THEN", "    IF found = 'CLOSED' AND clock_timestamp() <= a.sendable_until + interval '10 minutes' THEN\n        found := 'UNKNOWN';\n    END IF;\n    IF found = 'APPROVED' THEN"},
		},
		killer: byFlow("TestSessionIsJudgedBeforeTheLookUp"),
	},
	{
		name:   "sent-after-a-pause",
		why:    "a process that was paused sends its confirm when lease and hold are over",
		edits:  []edit{{steps + "approve.go", "if min(in.HoldLeft, lease(s.GatewayTimeout))-spent < callTime(s.GatewayTimeout) {", "if spent < 0 {"}},
		killer: byFlow("TestApproveSendsOnlyWhatItMay"),
	},
	{
		name:   "decline-from-a-re-send",
		why:    "the second confirm is told no while the first still charges",
		edits:  []edit{{steps + "approve.go", "case a.Verdict == VerdictDeclined && in.First:", "case a.Verdict == VerdictDeclined:"}},
		killer: byFlow("TestApproveSendsOnlyWhatItMay"),
	},
	{
		name:   "decline-from-a-stale-owner",
		why:    "an owner whose lease was taken over declines what the new owner charges",
		edits:  []edit{{approvalFile, "found = 'DECLINED' AND NOT p_by_lookup AND NOT (p_first AND mine)\n        OR ", ""}},
		killer: byFlow("TestStaleOwnerIsNotBelieved"),
	},
	{
		name:   "not-sent-by-a-retry",
		why:    "a retry concludes that nothing was sent, though the first call may have been",
		edits:  []edit{{steps + "approve.go", "	if in.First {\n		return FoundNotSent\n	}\n	return FoundUnknown", "	return FoundNotSent"}},
		killer: byFlow("TestApproveSendsOnlyWhatItMay"),
	},
	{
		name:   "not-sent-by-a-stale-owner",
		why:    "a stale owner removes the attempt under which another one sends",
		edits:  []edit{{approvalFile, "\n        OR found IN ('NOT_SENT', 'HOLD_LOST') AND NOT (p_first AND mine)", ""}},
		killer: byFlow("TestStaleOwnerIsNotBelieved"),
	},
	{
		name: "fence-closes-the-attempt",
		why:  "a cancel closes the charge in flight: it charges, and nobody looks for it",
		edits: []edit{{fenceFile, "    PERFORM return_points(b);\n", `    PERFORM return_points(b);
    UPDATE payment_attempt SET state = 'CLOSED', lease_until = NULL, next_try_at = NULL
    WHERE booking_id = b.id AND kind = 'APPROVE' AND state IN ('REQUESTED', 'UNKNOWN');
`}},
		killer: byFlow("TestLateChargeFindsTheBookingDead"),
	},
	{
		name: "fence-ends-the-payment",
		why:  "a cancel ends the payment whose charge is in flight: the buyer is told that nothing is owed",
		edits: []edit{{fenceFile, ` AND NOT EXISTS (
        SELECT FROM payment_attempt a
        WHERE a.payment_id = payment.id AND a.kind = 'APPROVE' AND a.state || '' IN ('REQUESTED', 'UNKNOWN'));`, ";"}},
		killer: byFlow("TestLateChargeFindsTheBookingDead"),
	},
	{
		name:   "approval-dropped-when-dead",
		why:    "a charge that finds its booking dead is dropped: looked up for ever, and never returned",
		edits:  []edit{{approvalFile, "    IF a.state = 'APPROVED' THEN\n        RETURN NULL;", "    IF a.state = 'APPROVED' OR b.status IN ('FAILED', 'CANCELLED') THEN\n        RETURN NULL;"}},
		killer: byFlow("TestLateChargeFindsTheBookingDead"),
	},
	{
		name: "complete-trusts-payment-pending",
		why:  "register points, register a card, complete: CONFIRMED, and nothing paid",
		edits: []edit{
			{bookingFile, "WHEN asked.points = b.total_amount THEN 'PAYMENT_PENDING' ELSE 'INIT' END", "WHEN asked.points = b.total_amount THEN 'PAYMENT_PENDING' ELSE b.status END"},
			{bookingFile, "b.status <> 'PAYMENT_PENDING' OR charge.status = 'READY' OR EXISTS (", "b.status <> 'PAYMENT_PENDING' OR EXISTS ("},
			{bookingFile, "AND status = 'SUCCESS') <> b.total_amount THEN", "AND status = 'SUCCESS') > b.total_amount THEN"},
		},
		killer: byFlow("TestCompleteLooksAtThePaymentItself"),
	},
	{
		name: "complete-ignores-the-refund",
		why:  "complete confirms with a payment whose money is being returned",
		edits: []edit{{bookingFile, ` OR EXISTS (
        SELECT FROM payment_attempt c WHERE c.payment_id = charge.id AND c.kind = 'CANCEL'
    ) THEN`, " THEN"}},
		killer: byFlow("TestCompleteLooksAtThePaymentItself"),
	},
	{
		name:   "unknown-commit-is-surrendered",
		why:    "an unknown commit is taken for a failure: a booking that is, or will be, CONFIRMED is refunded",
		edits:  []edit{{steps + "complete.go", "	case errors.Is(err, ErrInsufficientPoints):", "	case errors.Is(err, ErrCommitResultUnknown):\n		return s.surrender(ctx, cmd, ErrSoldOut)\n	case errors.Is(err, ErrInsufficientPoints):"}},
		killer: byFlow("TestUnknownCommitAtCompleteIsRepeated"),
	},
	{
		name: "surrender-without-second-look",
		why:  "one complete finds the hold lost, another confirms, the first one writes FAILED over it",
		edits: []edit{
			{bookingFile, "    IF b.status = 'CONFIRMED' THEN\n        RETURN remember(p_key, outcome(b.id));\n    END IF;\n    IF b.status = 'INIT' THEN", "    IF b.status = 'INIT' THEN"},
			{bookingFile, "    IF b.status = 'PAYMENT_PENDING' THEN\n        sending :=", "    IF b.status IN ('PAYMENT_PENDING', 'CONFIRMED') THEN\n        sending :="},
		},
		killer: byFlow("TestSoldWhileAnotherGivesUp"),
	},
	{
		name:   "refund-of-dead-bookings-only",
		why:    "a charge of another amount goes back only with its booking: sold on, the money is kept",
		edits:  []edit{{refundFile, "WHERE booking_id = p_booking AND kind = 'CANCEL' AND state || '' = 'PENDING'\n", "WHERE booking_id = p_booking AND kind = 'CANCEL' AND state || '' = 'PENDING'\n      AND EXISTS (SELECT FROM booking k WHERE k.id = p_booking AND k.status IN ('FAILED', 'CANCELLED'))\n"}},
		killer: byFlow("TestAnotherAmountGoesBack"),
	},
	{
		name:   "mismatch-stays-unknown",
		why:    "a look-up that shows another amount settles nothing, for ever",
		edits:  []edit{{steps + "approve.go", "	case VerdictMismatched:\n		found.Code = FoundMismatched\n", ""}},
		killer: byFlow("TestAnotherAmountGoesBack"),
	},
	{
		name: "dead-token-adopted",
		why:  "the hold of a cancelled booking is adopted by the next one, and the late release frees it",
		edits: []edit{
			{bookingFile, "IF EXISTS (SELECT FROM booking WHERE hold_token = p_token) OR EXISTS (SELECT FROM spent_token", "IF EXISTS (SELECT FROM spent_token"},
			{schemaFile, "CONSTRAINT booking_hold_token_once UNIQUE (hold_token)", "CONSTRAINT booking_hold_token_once UNIQUE (hold_token, id)"},
		},
		killer: byFlow("TestTokenOfADeadBookingIsAdoptedByNobody"),
	},
	{
		name:   "own-token-released-on-conflict",
		why:    "two clicks: the one that loses frees the hold of the one that wins",
		edits:  []edit{{steps + "reserve.go", "	case errors.Is(why, ErrDuplicateReservation) && result.Booking.HoldToken == hold.Token:\n		return nil\n", ""}},
		killer: byFlow("TestSecondClickKeepsTheHold"),
	},
	{
		name:   "release-without-token",
		why:    "a release that comes late frees the next booking's place",
		edits:  []edit{{scripts + "release_hold.lua", "if redis.call('HGET', KEYS[3], user) ~= token then return 'NOTHING' end", "if not redis.call('HGET', KEYS[3], user) then return 'NOTHING' end"}},
		killer: byGate("TestReleaseOnlyTheToken"),
	},
	{
		name:   "confirm-without-hold",
		why:    "a confirm that comes late makes another booking's place permanent",
		edits:  []edit{{scripts + "confirm_hold.lua", " or redis.call('HGET', KEYS[3], user) ~= token then", " then"}},
		killer: byGate("TestConfirmOnlyALiveHoldUnderTheToken"),
	},
	{
		name:   "ensure-over-another-token",
		why:    "an ensure that comes late takes over another booking's place",
		edits:  []edit{{scripts + "ensure_hold.lua", "  if redis.call('HGET', KEYS[3], user) ~= token then return answer('OTHER') end\n", "  redis.call('HSET', KEYS[3], user, token)\n"}},
		killer: byGate("TestEnsure"),
	},
	{
		name:   "warm-without-mark",
		why:    "an old snapshot is seeded over a release: a ghost keeps the unit",
		edits:  []edit{{scripts + "seed_product.lua", "if redis.call('GET', KEYS[4]) ~= mark(parts) then return 0 end\n", ""}},
		killer: byGate("TestColdGateLosesTheWarmMark"),
	},
	{
		name: "warm-marks-after-reading",
		why:  "the mark is left only after the database was read, and does not see what happened in between",
		edits: []edit{
			{steps + "warm.go", "	mine, err := gate.MarkWarm(ctx, productID, nonce)\n	if err != nil || !mine {\n		return false, err\n	}\n	facts, places, err :=", "	facts, places, err :="},
			{steps + "warm.go", "	return gate.Seed(ctx, nonce, facts, places)", "	mine, err := gate.MarkWarm(ctx, productID, nonce)\n	if err != nil || !mine {\n		return false, err\n	}\n	return gate.Seed(ctx, nonce, facts, places)"},
		},
		killer: byFlow("TestWarmingSeesWhatItsSnapshotMissed"),
	},
	{
		name:   "reconcile-without-mark",
		why:    "an old snapshot corrects a place that has changed since",
		edits:  []edit{{scripts + "correct_places.lua", "  if redis.call('HGET', KEYS[4], user) ~= ARGV[1] then return false end\n", ""}},
		killer: byGate("TestCorrectNeedsTheMark"),
	},
	{
		name: "reconcile-reads-before-marking",
		why:  "the correction is made by what the database said before the marks were left",
		edits: []edit{
			{steps + "reconcile.go", "	if err := s.Gate.MarkUsers(ctx, productID, nonce, users); err != nil {\n		return nil, err\n	}\n	wanted, err := s.Store.PlacesOf(ctx, productID, users)\n	if err != nil {\n		return nil, err\n	}\n", "	wanted, err := s.Store.PlacesOf(ctx, productID, users)\n	if err != nil {\n		return nil, err\n	}\n	if err := s.Gate.MarkUsers(ctx, productID, nonce, users); err != nil {\n		return nil, err\n	}\n"},
		},
		killer: byFlow("TestReconcileSeesWhatItsSnapshotMissed"),
	},
	{
		name: "reconcile-drops-holds",
		why:  "a hold whose INSERT is under way is taken for a ghost and dropped",
		edits: []edit{
			{steps + "reconcile.go", "		standing = slices.DeleteFunc(standing, func(p Place) bool { return !p.Confirmed })\n", ""},
			{steps + "reconcile.go", "p.wanted[user]; s.Confirmed && !ok {", "p.wanted[user]; s.UserID != 0 && !ok {"},
			{steps + "reconcile.go", "s.Confirmed && !w.Confirmed {", "s.UserID != 0 && !w.Confirmed {"},
			{scripts + "correct_places.lua", "    if not settled then return false end\n    redis.call('ZREM'", "    redis.call('ZREM'"},
		},
		killer: byFlow("TestReconcileNeverDropsAHoldWithoutABooking"),
	},
	{
		name:   "stock-without-version",
		why:    "two changes of the stock reach the gate in the wrong order, and the older one stays",
		edits:  []edit{{scripts + "put_facts.lua", "if #known > #ARGV[1] or (#known == #ARGV[1] and known >= ARGV[1]) then return 0 end\n", ""}},
		killer: byGate("TestPutFacts"),
	},
}
