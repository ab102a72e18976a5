package main

// gateMutants break the admission: the scripts, and how they are called.
var gateMutants = []mutant{
	{
		name: "gate-by-counter",
		why:  "units are counted up and never down by themselves: what lapses stays taken",
		edits: []edit{
			{scripts + "place_hold.lua", "local live = redis.call('ZCARD', KEYS[2]) - lapsed", "local live = tonumber(redis.call('HGET', KEYS[1], 'taken') or '0')"},
			{scripts + "place_hold.lua", "redis.call('ZADD', KEYS[2], expiry, user)", "redis.call('ZADD', KEYS[2], expiry, user)\nredis.call('HINCRBY', KEYS[1], 'taken', 1)"},
		},
		killer: byGate("TestLapseGivesTheUnitBackAtOnce"),
	},
	{
		name:   "gate-without-stock",
		why:    "the gate admits everybody",
		edits:  []edit{{scripts + "place_hold.lua", "if live >= tonumber(stock) then", "if live < 0 then"}},
		killer: byGate("TestLastUnitIsHeldOnce"),
	},
	{
		name:   "gate-blind-to-the-sale",
		why:    "a sale that has not begun is open",
		edits:  []edit{{scripts + "place_hold.lua", "if now < tonumber(start) then return answer({'NOT_OPEN', start}) end\n", ""}},
		killer: byGate("TestPlaceAnswers"),
	},
	{
		name:   "gate-blind-to-the-status",
		why:    "a product that was taken off the market is sold on",
		edits:  []edit{{scripts + "place_hold.lua", "if facts[1] ~= '1' then return answer({'INACTIVE'}) end\n", ""}},
		killer: byGate("TestPlaceAnswers"),
	},
	{
		name:   "second-hold-for-a-user",
		why:    "a second click takes the first one's hold over, and its booking has none",
		edits:  []edit{{scripts + "place_hold.lua", "if expiry and tonumber(expiry) > now then\n", "if expiry and tonumber(expiry) > now and redis.call('HGET', KEYS[3], user) == token then\n"}},
		killer: byGate("TestOneUserHoldsOnce"),
	},
	{
		name:   "early-gate-stays-shut",
		why:    "a unit is given back, and the gate goes on saying sold out",
		edits:  []edit{{scripts + "release_hold.lua", "redis.call('HDEL', KEYS[1], 'full_until')\n", ""}},
		killer: byGate("TestEarlyGateOpensAgain"),
	},
	{
		name:   "retake-without-a-unit",
		why:    "a lapsed hold is taken again though somebody else has its unit",
		edits:  []edit{{scripts + "ensure_hold.lua", "if deadline <= now or live >= tonumber(stock) then", "if deadline <= now then"}},
		killer: byGate("TestEnsureTakesAFreeUnitAgain"),
	},
	{
		name:   "reconcile-over-admits",
		why:    "a missing hold is written back though no unit is free",
		edits:  []edit{{scripts + "correct_places.lua", "  return redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') < stock and write(user, token, detail)", "  return write(user, token, detail)"}},
		killer: byGate("TestCorrectWritesHoldsWhileUnitsAreFree"),
	},
	{
		name:   "version-as-a-number",
		why:    "Lua counts in doubles: beyond 2^53 two versions look alike, and the newer one is refused",
		edits:  []edit{{scripts + "put_facts.lua", "#known > #ARGV[1] or (#known == #ARGV[1] and known >= ARGV[1])", "tonumber(known) >= tonumber(ARGV[1])"}},
		killer: byGate("TestPutFacts"),
	},
	{
		name:   "user-as-a-number",
		why:    "two users whose ids differ in the last digit are one, and share a hold",
		edits:  []edit{{scripts + "place_hold.lua", "local user, token = ARGV[1], ARGV[2]", "local user, token = tonumber(ARGV[1]), ARGV[2]"}},
		killer: byGate("TestHugeIDsAreTold"),
	},
	{
		name:   "script-writes-before-it-checks",
		why:    "Redis refuses to take memory only before a script's first write: half a hold is left",
		edits:  []edit{{scripts + "place_hold.lua", "local facts = redis.call('HMGET'", "redis.call('HDEL', KEYS[4], user)\nlocal facts = redis.call('HMGET'"}},
		killer: byGate("TestShortOfMemory"),
	},
	{
		name: "script-sent-again",
		why:  "the reply is lost, the library sends the script again, and the caller is told of the last run",
		edits: []edit{
			{gate + "script.go", "func (once) NoRetry() bool { return true }", "func (once) NoRetry() bool { return false }"},
			{gate + "client.go", "		DB:                       t.database,\n		MaxRetries:               -1,", "		DB:                       t.database,"},
		},
		killer: byGate("TestLostReplyIsOneExecution"),
	},
	{
		name:   "script-sent-again-on-a-cluster",
		why:    "the cluster client repeats what MaxRetries does not stop",
		edits:  []edit{{gate + "script.go", "func (once) NoRetry() bool { return true }", "func (once) NoRetry() bool { return false }"}},
		killer: byGate("TestLostReplyIsOneExecution"),
	},
	{
		name:   "gate-ignores-deadlines",
		why:    "a server that hangs keeps the call long after its deadline",
		edits:  []edit{{gate + "client.go", "		PoolTimeout:              timeout,\n		ContextTimeoutEnabled:    true,\n		PoolSize:                 2,\n		PipelinePoolSize:         -1,\n		ConnMaxIdleTime:          idleLimit,\n		TLSConfig:                secure,\n		Dialer:                   dialer,\n		DisableIdentity:          true,\n		MaintNotificationsConfig:", "		PoolTimeout:              timeout,\n		PoolSize:                 2,\n		PipelinePoolSize:         -1,\n		ConnMaxIdleTime:          idleLimit,\n		TLSConfig:                secure,\n		Dialer:                   dialer,\n		DisableIdentity:          true,\n		MaintNotificationsConfig:"}},
		killer: byGate("TestDeadlineBeatsTheTimeout"),
	},
	{
		name:   "lost-place-means-nothing",
		why:    "a unit is held, the answer is lost, and the buyer is told that nothing happened",
		edits:  []edit{{gate + "place.go", "	case err != nil && unheard(err):", "	case false:"}},
		killer: byGate("TestLostReplyIsOneExecution"),
	},
	{
		name:   "refused-place-means-perhaps",
		why:    "Redis was not reached, or said no, and the buyer is told that he may have a unit",
		edits:  []edit{{gate + "client.go", "	return !errors.As(err, &no) && !errors.As(err, &away)", "	return (errors.As(err, &no) || errors.As(err, &away) || true)"}},
		killer: byGate("TestOneDialPerCall"),
	},
}
