package main

// stepMutants break the order of calls in the steps.
var stepMutants = []mutant{
	{
		name:   "doubt-releases-the-hold",
		why:    "an unknown answer of the INSERT frees the unit, and the booking that stands has none",
		edits:  []edit{{steps + "reserve.go", "		errors.Is(why, ErrTokenSpent), errors.Is(why, ErrHoldLimit),", "		errors.Is(why, ErrCommitResultUnknown), errors.Is(why, ErrTokenSpent), errors.Is(why, ErrHoldLimit),"}},
		killer: byFlow("TestDoubtReleasesNothing"),
	},
	{
		name:   "reserve-without-the-gate",
		why:    "the gate is down, and everybody is let in",
		edits:  []edit{{steps + "reserve.go", "	if err != nil {\n		return placed, hold, err\n	}\n	switch placed.Code {", "	if err != nil {\n		return Placement{Code: PlaceNew, Token: hold.Token, Deadline: time.Now().Add(s.HoldTTL)}, hold, nil\n	}\n	switch placed.Code {"}},
		killer: byFlow("TestNobodyIsAdmittedWithoutTheGate"),
	},
	{
		name:   "confirm-before-commit",
		why:    "the gate is told of a sale that the database then refuses",
		edits:  []edit{{steps + "complete.go", "	result, err := s.confirm(ctx, ask)\n", "	if b, err := s.Store.Booking(ctx, cmd.UserID, cmd.BookingID); err == nil {\n		_ = s.Gate.Confirm(ctx, b.Hold(), b.ID)\n	}\n	result, err := s.confirm(ctx, ask)\n"}},
		killer: byFlow("TestGateHearsOfACommitOnly"),
	},
	{
		name:   "complete-believes-an-unknown-gate",
		why:    "the gate cannot say whether the unit is held, and the booking is sold",
		edits:  []edit{{steps + "complete.go", "	case code != EnsureOK:\n", "	case code == \"\":\n"}},
		killer: byFlow("TestUnitOfAnotherHoldIsNotSold"),
	},
	{
		name:   "charge-before-hold",
		why:    "the card is charged though the hold has lapsed and its unit is gone",
		edits:  []edit{{steps + "approve.go", "	case err == nil && code == EnsureOK:\n", "	case err == nil && (code == EnsureOK || code == EnsureLost):\n"}},
		killer: byFlow("TestLapsedHoldWithoutAUnit"),
	},
	{
		name:   "compensate-fences",
		why:    "a forged, repeated or early message ends a booking",
		edits:  []edit{{steps + "compensate.go", "	freed := s.free(ctx, m.BookingID)\n", "	_, _ = s.Store.Cancel(ctx, Cancellation{BookingID: m.BookingID})\n	freed := s.free(ctx, m.BookingID)\n"}},
		killer: byFlow("TestForgedMessageChangesNothing"),
	},
	{
		name:   "compensate-charges",
		why:    "a message sends the confirm again: charged when the buyer has long gone",
		edits:  []edit{{steps + "resolve.go", "	found, decided := seen(answer)\n", "	if answer.Verdict == VerdictNotFound {\n		answer = s.Gateway.Confirm(ctx, in.Charge)\n	}\n	found, decided := seen(answer)\n"}},
		killer: byFlow("TestMessageAndSweepNeverCharge"),
	},
	{
		name:   "refund-believed-without-answer",
		why:    "a cancel that nobody answered is taken for done, and the money stays at the gateway",
		edits:  []edit{{steps + "compensate.go", "back := answer.Verdict == VerdictReturned", "back := answer.Verdict != VerdictRefused"}},
		killer: byFlow("TestRefundIsTriedUntilItIsBack"),
	},
	{
		name:   "sent-mark-before-the-send",
		why:    "the row says sent before the queue has the message, and nobody sends it again",
		edits:  []edit{{steps + "finish.go", "	if err := queue.Send(ctx, messages...); err != nil {\n		return err\n	}\n	return outbox.MarkSent(ctx, ids...)", "	if err := outbox.MarkSent(ctx, ids...); err != nil {\n		return err\n	}\n	return queue.Send(ctx, messages...)"}},
		killer: byFlow("TestLostMessagesAreSentBySweep"),
	},
	{
		name:   "unit-waits-for-the-money",
		why:    "the unit of a dead booking stays taken until somebody delivers the message",
		edits:  []edit{{steps + "finish.go", "		released = gate.Release(ctx, r.Booking.Hold())\n", "		released = nil\n"}},
		killer: byFlow("TestPointsGoneAtComplete"),
	},
	{
		name:   "one-bad-row-ends-the-sweep",
		why:    "a corrupt row keeps everybody behind it from being served, in every run",
		edits:  []edit{{steps + "backlog.go", "			faults = append(faults, fmt.Errorf(\"%s %d: %w\", what, id, err))\n", "			return done, fmt.Errorf(\"%s %d: %w\", what, id, err)\n"}},
		killer: byFlow("TestOneBadRowKeepsNobodyWaiting"),
	},
	{
		name:   "hanging-gateway-takes-the-sweep",
		why:    "look-ups that hang take all of the sweep's time, and refunds and drift wait for ever",
		edits:  []edit{{steps + "sweep.go", "s.lapse, s.forward, s.reconcile, s.purge, s.refund, s.resolve}", "s.resolve, s.lapse, s.forward, s.reconcile, s.purge, s.refund}"}, {steps + "backlog.go", " / time.Duration(among))", " / time.Duration(min(among, 1)))"}},
		killer: byFlow("TestHangingGatewayKeepsNothingElseWaiting"),
	},
	{
		name:   "one-batch-expires-a-minute",
		why:    "while the gateway hangs, keys and messages come faster than the sweep removes them",
		edits:  []edit{{steps + "sweep.go", "again = t.more && t.left() && !t.report.cleared", "again = false"}},
		killer: byFlow("TestWhatExpiresGoesThoughTheGatewayHangs"),
	},
	{
		name:   "hold-judged-by-our-clock",
		why:    "a function whose clock is ahead refuses to charge, one whose clock is behind charges too late",
		edits:  []edit{{steps + "approve.go", "	found := s.find(ctx, began, *in)\n", "	in.HoldLeft = in.Deadline.Sub(began)\n	found := s.find(ctx, began, *in)\n"}},
		killer: byFlow("TestOurClockDecidesNothing"),
	},
	{
		name:   "deadline-by-our-clock",
		why:    "a booking's deadline is reckoned by the function's clock and not the gate's",
		edits:  []edit{{steps + "reserve.go", "Hold: hold, Deadline: placed.Deadline,", "Hold: hold, Deadline: time.Now().Add(s.HoldTTL),"}},
		killer: byFlow("TestOurClockDecidesNothing"),
	},
	{
		name:   "retake-by-our-clock",
		why:    "a hold is taken again until a moment of the function's clock",
		edits:  []edit{{steps + "complete.go", "ask.Held = result.Booking.ReadAt.Add(", "ask.Held = time.Now().Add("}},
		killer: byFlow("TestOurClockDecidesNothing"),
	},
	{
		name:   "unrecorded-means-nothing",
		why:    "the card is charged, the answer cannot be recorded, and the buyer is told that nothing happened",
		edits:  []edit{{steps + "approve.go", "	if errors.Is(err, ErrUnavailable) && found.Code != FoundNotSent && found.Code != FoundHoldLost {", "	if false {"}},
		killer: byFlow("TestNobodyIsToldThatNothingHappenedWhenItDid"),
	},
	{
		name:   "stuck-refund-is-not-looked-up",
		why:    "money that was given back by hand is asked for for ever",
		edits:  []edit{{steps + "compensate.go", "	if in.Stuck && !back && s.timeForOne(ctx) {", "	if false {"}},
		killer: byFlow("TestARefundByHandIsSeen"),
	},
	{
		name:   "sweep-ends-with-its-first-round",
		why:    "refunds are left for the next minute while there is time",
		edits:  []edit{{steps + "backlog.go", "(found >= batch || t.cut) && done > 0", "found >= batch && done > 0"}},
		killer: byFlow("TestASweepGoesOnWhileItHasTime"),
	},
	{
		name:   "sweep-begins-with-the-same-product",
		why:    "a product that comes late in the list is never reconciled",
		edits:  []edit{{steps + "sweep.go", "	if s.First != nil && len(all) > 0 {", "	if false {"}},
		killer: byFlow("TestNoProductIsAlwaysTheLast"),
	},
}
