package servertest

import (
	"syscall"
	"testing"
	"time"
)

// Cost fails the test when f takes more than that of the processor's time. Threads of the whole process are counted, so
// f has to run alone; what else the machine does is not.
func Cost(t testing.TB, most time.Duration, f func()) {
	t.Helper()
	began := spent()
	f()
	if took := spent() - began; took > most {
		t.Errorf("took %v of the processor's time, more than %v", took, most)
	}
}

// spent is the processor's time that this process has had so far.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail for oneself; if it did, nothing would be bounded
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
