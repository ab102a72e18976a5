package main

// Where the faults are put, and where the tests that see them live.
const (
	schemaFile   = "shared/postgres/migrations/001_schema.sql"
	outcomeFile  = "shared/postgres/migrations/routines/1_outcome.sql"
	fenceFile    = "shared/postgres/migrations/routines/2_fence.sql"
	bookingFile  = "shared/postgres/migrations/routines/3_booking.sql"
	approvalFile = "shared/postgres/migrations/routines/4_approval.sql"
	refundFile   = "shared/postgres/migrations/routines/5_refund.sql"
	rightsFile   = "shared/postgres/migrations/routines/7_rights.sql"
	guardsFile   = "shared/postgres/migrations/003_guards.sql"
	rulesFile    = "shared/postgres/migrations/005_short_rules.sql"

	steps    = "shared/booking/"
	adapters = "shared/postgres/"
	gateway  = "shared/paymentgateway/"
	gate     = "shared/hold/"
	scripts  = "lua/"
	edge     = "shared/api/"
	messages = "shared/queue/"
)

func byFlow(test string) killer    { return killer{"shared/booking", test} }
func byStore(test string) killer   { return killer{"shared/postgres", test} }
func byGate(test string) killer    { return killer{"shared/hold", test} }
func byGateway(test string) killer { return killer{"shared/paymentgateway", test} }
func byQueue(test string) killer   { return killer{"shared/queue", test} }
func byEdge(test string) killer    { return killer{"shared/api", test} }
