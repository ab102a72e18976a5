package bookingtest_test

import (
	"os"
	"testing"

	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	postgrestest.Shutdown()
	holdtest.Shutdown()
	os.Exit(code)
}
