package hold_test

import (
	"testing"

	"stayhold/shared/hold/holdtest"
)

func TestMain(m *testing.M) { holdtest.Main(m) }
