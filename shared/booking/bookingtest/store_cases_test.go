package bookingtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// tale is a pair that is told what to do: each call goes to both sides, whose answers
// must be equal.
type tale struct{ *pair }

func newTale(t *testing.T) tale {
	t.Helper()
	t.Parallel()
	return tale{newPair(t)}
}

// ends holds all rows of the two sides against each other.
func (w tale) ends() {
	w.t.Helper()
	if fault := w.differentRow(); fault != "" {
		w.t.Error(fault)
	}
	if w.stalled {
		w.t.Log("the machine stalled, and from then on no times were compared")
	}
}

// call gives the answer of both sides.
func call[T any](w tale, run func(s *party) (T, error)) (T, error) {
	w.t.Helper()
	fake, real, _ := w.both(func(s *party) reply {
		value, err := run(s)
		return reply{value: value, err: err}
	})
	if f, r := w.fake.render(fake), w.real.render(real); !w.equal(f, r) {
		w.t.Fatalf("the fake says\n    %s\nand Postgres\n    %s", f, r)
	}
	value, _ := fake.value.(T)
	return value, fake.err
}

// want is call for an answer whose error is known.
func want[T any](w tale, err error, run func(s *party) (T, error)) T {
	w.t.Helper()
	value, got := call(w, run)
	if !errors.Is(got, err) {
		w.t.Fatalf("error is %v, want %v", got, err)
	}
	return value
}

func (w tale) product(stock int64) int64 {
	w.t.Helper()
	return want(w, nil, func(s *party) (int64, error) {
		return s.PutProduct(context.Background(), booking.ProductDraft{Name: "Room", Price: amount("100"), Stock: &stock, Status: "ACTIVE",
			SaleStartAt: s.in(-time.Hour), CheckInAt: s.in(5 * time.Hour), CheckOutAt: s.in(30 * time.Hour)})
	})
}

func (w tale) open(user, product int64, ttl time.Duration) booking.Booking {
	w.t.Helper()
	token := fmt.Sprintf("token-%d", len(w.memory.Rows().Bookings))
	return want(w, nil, func(s *party) (booking.Result, error) {
		hold := booking.Hold{UserID: user, ProductID: product, Token: token}
		return s.Open(context.Background(), booking.Opening{Hold: hold, Deadline: s.in(ttl), MaxOpenHolds: 5})
	}).Booking
}

func (w tale) grant(user int64, points string) {
	w.t.Helper()
	want(w, nil, func(s *party) (any, error) { return s.GrantPoints(context.Background(), user, amount(points), "gift") })
}

func card() booking.Set { return booking.Set{{Method: booking.Card, Amount: amount("100")}} }

func points() booking.Set { return booking.Set{{Method: booking.Point, Amount: amount("100")}} }

func (w tale) register(b booking.Booking, set booking.Set) booking.Booking {
	w.t.Helper()
	return want(w, nil, func(s *party) (booking.Result, error) {
		return s.Register(context.Background(), booking.Registration{UserID: b.UserID, BookingID: b.ID, Set: set})
	}).Booking
}

// begin commits the intent to charge, and gives its place among the intents.
func (w tale) begin(b booking.Booking, key *booking.IdempotencyKey) int {
	w.t.Helper()
	want(w, nil, func(s *party) (*booking.Intent, error) {
		in, _, err := s.BeginApproval(context.Background(), booking.ApprovalRequest{UserID: b.UserID, BookingID: b.ID, PaymentKey: "pk",
			Owner: fmt.Sprintf("owner-%d", len(s.intents)), Lease: time.Minute, SendTime: time.Second, Window: 2 * time.Minute, Limit: 12 * time.Hour, Key: key})
		if in != nil {
			s.intents = append(s.intents, *in)
		}
		return in, err
	})
	return len(w.fake.intents) - 1
}

func (w tale) end(intent int, f booking.Finding, err error) booking.Result {
	w.t.Helper()
	return want(w, err, func(s *party) (booking.Result, error) {
		return s.EndApproval(context.Background(), s.intents[intent], f)
	})
}

func (w tale) complete(b booking.Booking, err error) booking.Booking {
	w.t.Helper()
	return want(w, err, func(s *party) (booking.Result, error) {
		return s.Complete(context.Background(), booking.Completion{UserID: b.UserID, BookingID: b.ID, Held: s.in(time.Hour)})
	}).Booking
}

func (w tale) cancel(b booking.Booking) booking.Booking {
	w.t.Helper()
	return want(w, nil, func(s *party) (booking.Result, error) {
		return s.Cancel(context.Background(), booking.Cancellation{UserID: b.UserID, BookingID: b.ID})
	}).Booking
}

// refund claims the booking's refund and records what the gateway said.
func (w tale) refund(b booking.Booking, back bool) {
	w.t.Helper()
	want(w, nil, func(s *party) (booking.RefundIntent, error) {
		in, err := s.ClaimRefund(context.Background(), b.ID, "owner", time.Minute)
		s.refunds = []booking.RefundIntent{in}
		return in, err
	})
	want(w, nil, func(s *party) (any, error) { return nil, s.EndRefund(context.Background(), s.refunds[0], back, "ref") })
}

func (w tale) read(b booking.Booking) booking.Booking {
	w.t.Helper()
	return want(w, nil, func(s *party) (booking.Booking, error) { return s.Booking(context.Background(), 0, b.ID) })
}

// TestRefundBacksOffForEver fails a refund again and again: each wait is twice as long,
// up to 300 s, and from the third try on the buyer sees that it is stuck.
func TestRefundBacksOffForEver(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	b := w.register(w.open(1, w.product(1), time.Hour), card())
	w.end(w.begin(b, nil), booking.Finding{Code: booking.FoundApproved}, nil)
	w.cancel(b)
	for try, seconds := range []int{2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300} {
		w.refund(b, false)
		row := w.memory.Rows().Attempts[1]
		if wait := row.NextTryAt.Sub(row.UpdatedAt); wait != time.Duration(seconds)*time.Second {
			t.Errorf("try %d waits %s, want %d s", try+1, wait, seconds)
		}
		if fault := w.differentRow(); fault != "" {
			t.Fatal(fault)
		}
		if state, _ := w.read(b).Refund(); (state == booking.RefundStuck) != (try >= 2) {
			t.Errorf("after %d tries the refund is %s", try+1, state)
		}
		want(w, booking.ErrNothingDue, func(s *party) (booking.RefundIntent, error) {
			return s.ClaimRefund(context.Background(), b.ID, "owner", time.Minute)
		})
		if try%2 == 0 {
			w.pass(10 * time.Minute)
		} else {
			want(w, nil, func(s *party) ([]int64, error) { return s.Redrive(context.Background(), b.ID) })
		}
	}
	w.refund(b, true)
	if state, sum := w.read(b).Refund(); state != booking.RefundDone || !sum.Equal(amount("100")) {
		t.Errorf("the refund is %s of %s", state, sum)
	}
}

// TestKeyLastsADay finds the answer for a day, and the key free after it.
func TestKeyLastsADay(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	b := w.open(1, w.product(1), 72*time.Hour)
	register := func(request string, err error) {
		t.Helper()
		want(w, err, func(s *party) (booking.Result, error) {
			return s.Register(context.Background(), booking.Registration{UserID: 1, BookingID: b.ID, Set: card(),
				Key: &booking.IdempotencyKey{UserID: 1, Scope: "register", Key: "k", Fingerprint: "f", RequestID: request}})
		})
	}
	recall := func(fingerprint string, err error) *booking.Recalled {
		t.Helper()
		recalled, got := call(w, func(s *party) (*booking.Recalled, error) {
			return s.Recall(context.Background(), booking.IdempotencyKey{UserID: 1, Scope: "register", Key: "k", Fingerprint: fingerprint})
		})
		if !errors.Is(got, err) {
			t.Fatalf("recall: %v, want %v", got, err)
		}
		return recalled
	}
	register("first", nil)
	w.pass(24*time.Hour - 10*time.Minute)
	register("second", booking.ErrKeyTaken)
	recall("g", booking.ErrIdempotencyKeyReused)
	if r := recall("f", nil); r == nil || r.RequestID != "first" || !r.Result.Created {
		t.Errorf("recalled %+v", r)
	}
	w.pass(20 * time.Minute)
	if r := recall("g", nil); r != nil {
		t.Errorf("recalled %+v after its day", r)
	}
	register("third", nil)
	if r := recall("f", nil); r == nil || r.RequestID != "third" || r.Result.Created {
		t.Errorf("recalled %+v", r)
	}
	purge := func(rows int64) {
		t.Helper()
		if n := want(w, nil, func(s *party) (int64, error) { return s.Purge(context.Background(), 10) }); n != rows {
			t.Errorf("%d rows were purged, want %d", n, rows)
		}
	}
	purge(0)
	w.pass(25 * time.Hour)
	purge(1)
}

// TestClaimIsItsOwnersUntilTheLeaseEnds keeps a second request out while an approval
// runs, and lets it in when the first one's lease has ended; the late end of the first
// does not touch the second one's claim.
func TestClaimIsItsOwnersUntilTheLeaseEnds(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	b := w.register(w.open(1, w.product(1), 5*time.Hour), card())
	key := func(request string) *booking.IdempotencyKey {
		return &booking.IdempotencyKey{UserID: 1, Scope: "approve", Key: "k", Fingerprint: "f", RequestID: request}
	}
	recall := func() (*booking.Recalled, error) {
		return call(w, func(s *party) (*booking.Recalled, error) { return s.Recall(context.Background(), *key("")) })
	}
	first := w.begin(b, key("first"))
	if _, err := recall(); !errors.Is(err, booking.ErrIdempotencyInProgress) {
		t.Errorf("recall beside a claim: %v", err)
	}
	w.pass(10 * time.Minute)
	if r, err := recall(); r != nil || err != nil {
		t.Errorf("recall after the lease: %v %v", r, err)
	}
	second := w.begin(b, key("second"))
	w.end(first, booking.Finding{Code: booking.FoundDeclined}, nil)
	if _, err := recall(); !errors.Is(err, booking.ErrIdempotencyInProgress) {
		t.Errorf("recall after the stale end: %v", err)
	}
	w.end(second, booking.Finding{Code: booking.FoundUnknown}, nil)
	if r, err := recall(); r != nil || err != nil {
		t.Errorf("recall of what is not known yet: %v %v", r, err)
	}
	w.end(second, booking.Finding{Code: booking.FoundDeclined, ByLookup: true, DeclineCode: "NO"}, booking.ErrPaymentDeclined)
}

// TestMismatchIsRefundedOfAConfirmedBooking charges another amount, registers again and
// confirms: the first charge goes back all the same.
func TestMismatchIsRefundedOfAConfirmedBooking(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	b := w.register(w.open(1, w.product(1), time.Hour), card())
	w.end(w.begin(b, nil), booking.Finding{Code: booking.FoundMismatched, ByLookup: true, Amount: amount("77.5")}, booking.ErrPaymentIncomplete)
	w.register(b, card())
	w.end(w.begin(b, nil), booking.Finding{Code: booking.FoundApproved, Reference: "r"}, nil)
	w.complete(b, nil)
	w.refund(b, true)
	got := w.read(b)
	if state, sum := got.Refund(); got.Status != booking.Confirmed || state != booking.RefundDone || !sum.Equal(amount("77.5")) {
		t.Errorf("booking is %s, refund %s of %s", got.Status, state, sum)
	}
	want(w, booking.ErrNothingDue, func(s *party) (booking.RefundIntent, error) {
		return s.ClaimRefund(context.Background(), b.ID, "owner", time.Minute)
	})
}

// TestLateChargeAfterADeclineGoesBack believes a charge from anybody, also where a
// decline was written down.
func TestLateChargeAfterADeclineGoesBack(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	b := w.register(w.open(1, w.product(1), time.Hour), card())
	in := w.begin(b, nil)
	w.end(in, booking.Finding{Code: booking.FoundDeclined, DeclineCode: "NO"}, booking.ErrPaymentDeclined)
	r := w.end(in, booking.Finding{Code: booking.FoundApproved}, booking.ErrPaymentIncomplete)
	if len(r.Sending) != 1 || r.Sending[0].Task != booking.TaskCompensate {
		t.Errorf("to send: %v", r.Sending)
	}
	w.refund(b, true)
	again := w.end(in, booking.Finding{Code: booking.FoundApproved}, booking.ErrPaymentIncomplete)
	if len(again.Sending) != 0 || len(w.memory.Rows().Attempts) != 2 {
		t.Errorf("a second report of the charge commands %v", again.Sending)
	}
}

// TestRefusedCompleteLeavesNoTrace refuses for points and for stock, and finds every
// row as it was.
func TestRefusedCompleteLeavesNoTrace(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	room := w.product(2)
	w.grant(1, "100")
	b := w.register(w.open(1, room, time.Hour), points())
	w.grant(1, "-0.01")
	before := fmt.Sprintf("%+v", w.memory.Rows())
	w.complete(b, booking.ErrInsufficientPoints)
	if after := fmt.Sprintf("%+v", w.memory.Rows()); after != before {
		t.Errorf("for want of points:\n%s\n%s", before, after)
	}
	w.grant(1, "0.01")
	want(w, nil, func(s *party) (booking.Stock, error) { return s.AdjustStock(context.Background(), room, -2, "flood") })
	before = fmt.Sprintf("%+v", w.memory.Rows())
	w.complete(b, booking.ErrSoldOut)
	if after := fmt.Sprintf("%+v", w.memory.Rows()); after != before {
		t.Errorf("for want of stock:\n%s\n%s", before, after)
	}
	want(w, nil, func(s *party) (booking.Stock, error) { return s.AdjustStock(context.Background(), room, 1, "dry") })
	w.complete(b, nil)
}

// TestBacklogIsOldestFirst cuts each list where its limit is.
func TestBacklogIsOldestFirst(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	room := w.product(3)
	late, early := w.open(1, room, 2*time.Hour), w.open(2, room, time.Hour)
	for _, b := range []booking.Booking{late, early} {
		w.end(w.begin(w.register(b, card()), nil), booking.Finding{Code: booking.FoundApproved}, nil)
	}
	w.open(3, room, 50*time.Hour)
	w.pass(3 * time.Hour)
	wantIDs := func(what string, list func(s *party, limit int) ([]int64, error), limit int, ids ...int64) {
		t.Helper()
		if got := want(w, nil, func(s *party) ([]int64, error) { return list(s, limit) }); !slices.Equal(got, ids) {
			t.Errorf("%s: %v, want %v", what, got, ids)
		}
	}
	lapsed := func(s *party, limit int) ([]int64, error) {
		return s.LapsedBookings(context.Background(), time.Minute, limit)
	}
	wantIDs("lapsed", lapsed, 5, early.ID, late.ID)
	wantIDs("lapsed", lapsed, 1, early.ID)
	for _, b := range []booking.Booking{late, early} {
		want(w, nil, func(s *party) (booking.Result, error) { return s.Lapse(context.Background(), b.ID, time.Minute) })
		w.pass(10 * time.Minute)
	}
	due := func(s *party, limit int) ([]int64, error) { return s.DueRefunds(context.Background(), limit) }
	wantIDs("due", due, 1, late.ID)
	w.refund(late, false)
	w.pass(10 * time.Minute)
	wantIDs("due", due, 1, early.ID)
	wantIDs("due", due, 2, early.ID, late.ID)
}

// TestLinesAreForPeople holds what the timeline says of a time and of a long reason.
func TestLinesAreForPeople(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	w.grant(1, "100")
	b := w.register(w.open(1, w.product(1), time.Hour), points())
	for _, line := range w.read(b).Timeline[:1] {
		if said := "until " + b.HoldExpiresAt.Format("2006-01-02T15:04:05.000Z"); line.Event != "HELD" || line.Detail != said {
			t.Errorf("the timeline begins with %s %q, want %q", line.Event, line.Detail, said)
		}
	}
	cause := *booking.ErrHoldExpired
	cause.Detail = strings.Repeat("가", 600)
	got := want(w, booking.ErrHoldExpired, func(s *party) (booking.Result, error) {
		return s.Surrender(context.Background(), booking.Surrender{BookingID: b.ID, Cause: &cause})
	})
	if detail := got.Booking.Failure.Detail; detail != strings.Repeat("가", 500) {
		t.Errorf("the reason is %q", detail)
	}
}
