package main

// guardMutants take away what stands behind the steps: the role, the triggers, and what a connection has to be.
var guardMutants = []mutant{
	{
		name:   "functions-write-tables",
		why:    "whoever gets hold of the functions' login writes rows as he likes",
		edits:  []edit{{rightsFile, "GRANT SELECT ON %I TO stayhold_app", "GRANT SELECT, UPDATE ON %I TO stayhold_app"}},
		killer: byStore("TestTheFunctionsMayOnlyReadAndCall"),
	},
	{
		name:   "ended-booking-moves",
		why:    "a slip in a routine takes a booking out of a state that has ended, and nothing behind it says no",
		edits:  []edit{{guardsFile, "        WHEN 'CONFIRMED' THEN NEW.status IN ('CONFIRMED', 'CANCELLED')\n        ELSE false END", "        WHEN 'CONFIRMED' THEN NEW.status IN ('CONFIRMED', 'CANCELLED')\n        ELSE true END"}},
		killer: byStore("TestStatesMoveAlongTheirDiagramOnly"),
	},
	{
		name:   "read-only-connection-is-kept",
		why:    "after a failover the open connection leads to a server that takes no writes, and each call fails on it for ever",
		edits:  []edit{{adapters + "store.go", "		if readOnly(err) {\n", "		if readOnly(err) && ctx == nil {\n"}},
		killer: byStore("TestReadOnlyConnectionIsGivenUp"),
	},
	{
		name:   "standby-is-asked",
		why:    "while a failover goes on, a gate is warmed from a standby that lags behind",
		edits:  []edit{{adapters + "store.go", "if c.ParameterStatus(\"in_hot_standby\") == \"on\" {", "if c.ParameterStatus(\"in_hot_standby\") == \"\" {"}},
		killer: byStore("TestStandbyIsNotAsked"),
	},
	{
		name:   "plain-text-where-tls-fails",
		why:    "whoever stands in the middle refuses TLS, and the driver goes on without it",
		edits:  []edit{{adapters + "secure.go", "(other.TLSConfig == nil) != (c.TLSConfig == nil) {", "c.Host == \"\" {"}},
		killer: byStore("TestNothingFallsBack"),
	},
	{
		name:   "repeat-without-the-gate",
		why:    "a complete whose process died is repeated under its key, and nobody makes its place in the gate permanent",
		edits:  []edit{{steps + "complete.go", "if r != nil && r.Err == nil && r.Result.Booking.Status == Confirmed {", "if r != nil && r.Err == nil && r.Result.Booking.ID == 0 {"}},
		killer: byFlow("TestRepeatUnderItsKeyTellsTheGate"),
	},
}
