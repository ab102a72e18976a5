package main

// moneyMutants are about amounts.
var moneyMutants = []mutant{
	{
		name:   "float-money",
		why:    "0.10 and 0.20 are not 0.30",
		edits:  []edit{{bookingFile, "sum(a::numeric) AS total,", "sum(a::float8) AS total,"}},
		killer: byFlow("TestCentsAddUp"),
	},
	{
		name:   "float-money-to-the-gateway",
		why:    "an amount goes through a float, and its last digits to the gateway are others",
		edits:  []edit{{gateway + "client.go", "json.Number(ch.Amount.String())})", "json.Number(fmt.Sprint(float32(ch.Amount.InexactFloat64())))})"}},
		killer: byGateway("TestWhatIsSent"),
	},
	{
		name: "nan-allowed",
		why:  "NaN is greater than 0, and equal to itself: a payment of NaN passes every check",
		edits: []edit{
			{rulesFile, "'payment_amount_positive', $c$amount <@ '(0,NaN)'", "'payment_amount_positive', $c$amount <@ '(0,)'"},
		},
		killer: byStore("TestNoMoneyIsNaN"),
	},
	{
		name:   "third-decimal-rounded",
		why:    "0.005 is rounded up without a word",
		edits:  []edit{{edge + "fields.go", "return !point || digits(fraction, 2)", "return !point || digits(fraction, 3)"}},
		killer: byEdge("TestBodies"),
	},
	{
		name:   "mismatch-believed",
		why:    "an answer with another amount counts as this charge",
		edits:  []edit{{gateway + "payment.go", "		p.amount.Equal(ch.Amount) && (", "		("}},
		killer: byGateway("TestConfirmVerdicts"),
	},
}

// adapterMutants read answers of the servers wrongly, or ask twice.
var adapterMutants = []mutant{
	{
		name:   "lost-commit-is-a-rollback",
		why:    "a connection lost after the statement was sent is told as nothing happened, and the row is there",
		edits:  []edit{{adapters + "errors.go", "	return lost.Because(err)\n", "	return booking.ErrUnavailable.Because(err)\n"}},
		killer: byStore("TestLostReplyIsUnknownAndNotRepeated"),
	},
	{
		name: "lost-commit-is-sent-again",
		why:  "the driver calls a lost statement safe to retry, and it runs twice",
		edits: []edit{
			{adapters + "errors.go", "	if !errors.As(err, &pg) {\n		return false\n	}", "	if !errors.As(err, &pg) {\n		return err != nil && !errors.Is(err, pgx.ErrNoRows)\n	}"},
		},
		killer: byStore("TestLostReplyIsUnknownAndNotRepeated"),
	},
	{
		name:   "deadlock-is-an-error",
		why:    "a deadlock that Postgres resolved is answered with 503 instead of being tried again",
		edits:  []edit{{adapters + "errors.go", "case \"40P01\", \"40001\",", "case \"40001\","}},
		killer: byStore("TestDeadlockIsTriedAgain"),
	},
	{
		name:   "serialization-is-an-error",
		why:    "a transaction that Postgres gave up for another one's sake is not tried again",
		edits:  []edit{{adapters + "errors.go", "case \"40P01\", \"40001\",", "case \"40P01\","}},
		killer: byStore("TestSerializationFailureIsTriedAgain"),
	},
	{
		name:   "idle-connection-is-asked",
		why:    "most calls of a function begin with a round trip that only asks whether the connection lives",
		edits:  []edit{{adapters + "store.go", "	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }\n", ""}},
		killer: byStore("TestIdleConnectionIsNotAsked"),
	},
	{
		name:   "named-statement-behind-a-pooler",
		why:    "a statement kept by name meets another server connection, where it does not exist",
		edits:  []edit{{adapters + "store.go", "	if o.Pooler {\n", "	if o.Pooler && o.URL == \"\" {\n"}},
		killer: byStore("TestPoolerModeLeavesNothingInItsSession"),
	},
	{
		name:   "dead-connection-is-used",
		why:    "a thawed function writes into a connection that was closed meanwhile, and nobody knows what became of it",
		edits:  []edit{{adapters + "store.go", "		return alive(c.PgConn()), nil\n", "		return c != nil, nil\n"}},
		killer: byStore("TestConnectionThatDiedWithoutAWord"),
	},
	{
		name:   "asynchronous-commit",
		why:    "an acknowledged booking is gone after kill -9 of the database",
		edits:  []edit{{adapters + "store.go", "	config.ConnConfig.RuntimeParams[\"application_name\"] = \"stayhold\"\n", "	config.ConnConfig.RuntimeParams[\"application_name\"] = \"stayhold\"\n	config.ConnConfig.RuntimeParams[\"synchronous_commit\"] = \"off\"\n"}},
		killer: byStore("TestCommitsWaitForTheDisk"),
	},
	{
		name:   "timeout-is-a-decline",
		why:    "a charge that was not answered is told as declined, and the buyer pays again",
		edits:  []edit{{gateway + "client.go", "		return failed(\"confirm\", err)\n", "		return booking.Answer{Verdict: booking.VerdictDeclined, DeclineCode: \"TIMEOUT\", Cause: err}\n"}},
		killer: byGateway("TestSilenceIsUnknown"),
	},
	{
		name:   "server-error-is-a-decline",
		why:    "a 500 that bears a code of the list is believed",
		edits:  []edit{{gateway + "verdict.go", "	return status >= 400 && status < 500\n", "	return status >= 400\n"}},
		killer: byGateway("TestConfirmVerdicts"),
	},
	{
		name:   "unlisted-code-is-a-decline",
		why:    "a code that may mean later, or perhaps done, is taken for a refusal",
		edits:  []edit{{gateway + "codes.go", "	return declined[code] ||\n", "	return declined[code] || code != \"\" ||\n"}},
		killer: byGateway("TestConfirmVerdicts"),
	},
	{
		name:   "any-404-is-not-charged",
		why:    "a proxy's 404, or a wrong path, says that an order was never charged",
		edits:  []edit{{gateway + "verdict.go", "got.status == http.StatusNotFound && (word == codeNotFoundPayment || word == codeNotFound)", "got.status == http.StatusNotFound"}},
		killer: byGateway("TestLookupVerdicts"),
	},
	{
		name:   "redirect-followed",
		why:    "a 307 has the charge posted again, to another host",
		edits:  []edit{{gateway + "exchange.go", "return http.ErrUseLastResponse }", "return nil }"}},
		killer: byGateway("TestRedirectsAreNotFollowed"),
	},
	{
		name:   "post-replayed-by-the-library",
		why:    "net/http sends a POST with an Idempotency-Key again on its own when a kept connection breaks",
		edits:  []edit{{gateway + "exchange.go", "		r.GetBody = nil\n", ""}},
		killer: byGateway("TestBrokenKeepAliveIsOneRequest"),
	},
	{
		name:   "huge-amount-is-parsed",
		why:    "an amount of millions of digits takes seconds of the processor",
		edits:  []edit{{gateway + "payment.go", "len(raw) == 0 || len(raw) > maxAmountToken || raw[0] == '\"'", "len(raw) == 0 || raw[0] == '\"'"}, {gateway + "payment.go", "d.Exponent() > maxScale || d.Exponent() < -maxScale ||\n		", ""}},
		killer: byGateway("TestHugeAmountsAreQuick"),
	},
	{
		name:   "batch-refused-in-part",
		why:    "SQS takes nine of ten, and all ten are marked as sent",
		edits:  []edit{{messages + "queue.go", "		if err := checkBatch(out, chunk); err != nil {\n", "		if err := checkBatch(out, nil); err != nil && len(out.Failed) == 0 {\n"}},
		killer: byQueue("TestPartOfABatchRefusedIsAnError"),
	},
	{
		name:   "message-with-trailing-data",
		why:    "a body with something behind it is believed",
		edits:  []edit{{messages + "body.go", "	if _, err := dec.Token(); !errors.Is(err, io.EOF) {\n", "	if _, err := dec.Token(); errors.Is(err, io.ErrNoProgress) {\n"}},
		killer: byQueue("TestParseRefuses"),
	},
}

// edgeMutants are at the border to callers.
var edgeMutants = []mutant{
	{
		name:   "poison-fails-the-batch",
		why:    "one bad record has the other nine delivered again and again",
		edits:  []edit{{edge + "batch.go", "				failures = append(failures, failure{r.ID})\n", "				return nil, err\n"}},
		killer: byEdge("TestBatchRecordsStandForThemselves"),
	},
	{
		name:   "malformed-record-acknowledged",
		why:    "a record that nobody understands is dropped, and never seen as a dead letter",
		edits:  []edit{{edge + "batch.go", "			if err != nil && !errors.Is(err, booking.ErrLeftToSweep) {\n", "			if err != nil && r.bookingID != 0 && !errors.Is(err, booking.ErrLeftToSweep) {\n"}},
		killer: byEdge("TestBatchRecordsStandForThemselves"),
	},
	{
		name:   "duplicate-member-taken",
		why:    "of two amounts the last one counts, whatever was checked",
		edits:  []edit{{edge + "json.go", "		if seen[name] {\n", "		if seen[name] && name == \"\" {\n"}},
		killer: byEdge("TestBodies"),
	},
	{
		name:   "numeric-subject-is-a-500",
		why:    "a number as the token's subject breaks the event's decoding, and everything is answered 500",
		edits:  []edit{{edge + "event.go", "	if !ok {\n		return 0, booking.ErrInvalidSubject\n", "	if !ok {\n		return 0, booking.ErrInternal\n"}},
		killer: byEdge("TestIdentity"),
	},
	{
		name:   "body-before-its-size",
		why:    "a body of any size is parsed",
		edits:  []edit{{edge + "body.go", "	if len(raw) > maxBody {\n", "	if len(raw) > 1<<30 {\n"}},
		killer: byEdge("TestPrecedence"),
	},
	{
		name:   "key-without-its-body",
		why:    "the same key with another body gets the first one's answer",
		edits:  []edit{{adapters + "steps.go", "	case fingerprint != key.Fingerprint:\n", "	case fingerprint == \"\":\n"}},
		killer: byFlow("TestIdempotencyKeyAtOnce"),
	},
}
