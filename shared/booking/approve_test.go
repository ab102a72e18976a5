package booking

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"
)

// approveFake is store, gate, gateway, queue and clock of one approve, and the list of
// what was called.
type approveFake struct {
	calls  []string
	intent Intent
	found  Finding
	after  Booking

	ensure    EnsureCode
	ensureErr error
	lookup    Answer
	confirm   Answer
	now       time.Time
	takes     time.Duration // how long Ensure takes
	sendErr   error
}

func (f *approveFake) BeginApproval(context.Context, ApprovalRequest) (*Intent, Result, error) {
	f.calls = append(f.calls, "begin")
	in := f.intent
	return &in, Result{}, nil
}

func (f *approveFake) EndApproval(_ context.Context, _ Intent, found Finding) (Result, error) {
	f.calls = append(f.calls, "end")
	f.found = found
	return Result{Booking: f.after, Sending: []Outgoing{{ID: 1, Message: Message{Task: TaskResolve, BookingID: 1}}}}, nil
}

func (f *approveFake) Ensure(context.Context, Hold, time.Time) (EnsureCode, error) {
	f.calls = append(f.calls, "ensure")
	f.now = f.now.Add(f.takes)
	return f.ensure, f.ensureErr
}

func (f *approveFake) Release(context.Context, Hold) error {
	f.calls = append(f.calls, "release")
	return nil
}

func (f *approveFake) MarkSent(context.Context, ...int64) error {
	f.calls = append(f.calls, "mark sent")
	return nil
}

func (f *approveFake) Confirm(context.Context, Charge) Answer {
	f.calls = append(f.calls, "confirm")
	return f.confirm
}

func (f *approveFake) Lookup(context.Context, Charge) Answer {
	f.calls = append(f.calls, "lookup")
	return f.lookup
}

func (f *approveFake) Cancel(context.Context, Charge, string) Answer { panic("approve never cancels") }

func (f *approveFake) Send(context.Context, ...Message) error {
	f.calls = append(f.calls, "send")
	return f.sendErr
}

func (f *approveFake) Now() time.Time { return f.now }

// gateOnly is the gate's side of the fake, since gate and gateway both have a Confirm;
// what approve must not call is nil.
type gateOnly struct {
	Gate
	f *approveFake
}

func (g gateOnly) Ensure(ctx context.Context, h Hold, d time.Time) (EnsureCode, error) {
	return g.f.Ensure(ctx, h, d)
}
func (g gateOnly) Release(ctx context.Context, h Hold) error { return g.f.Release(ctx, h) }

type storeOnly struct {
	Store
	f *approveFake
}

func (s storeOnly) BeginApproval(ctx context.Context, r ApprovalRequest) (*Intent, Result, error) {
	return s.f.BeginApproval(ctx, r)
}

func (s storeOnly) EndApproval(ctx context.Context, in Intent, found Finding) (Result, error) {
	return s.f.EndApproval(ctx, in, found)
}
func (s storeOnly) MarkSent(ctx context.Context, ids ...int64) error {
	return s.f.MarkSent(ctx, ids...)
}

func TestApproveSendsOnlyWhatItMay(t *testing.T) {
	const held = 5 * time.Minute
	first := Intent{First: true, HoldLeft: held}
	retry := Intent{HoldLeft: held}
	answer := func(v Verdict) Answer { return Answer{Verdict: v} }
	down := errors.New("down")
	for name, c := range map[string]struct {
		fake  approveFake
		calls []string
		found FindingCode
	}{
		"first, charged":                  {approveFake{intent: first, ensure: EnsureOK, confirm: answer(VerdictApproved)}, []string{"ensure", "confirm"}, FoundApproved},
		"first, declined":                 {approveFake{intent: first, ensure: EnsureOK, confirm: answer(VerdictDeclined)}, []string{"ensure", "confirm"}, FoundDeclined},
		"first, our key refused":          {approveFake{intent: first, ensure: EnsureOK, confirm: answer(VerdictRefused)}, []string{"ensure", "confirm"}, FoundNotSent},
		"first, no answer":                {approveFake{intent: first, ensure: EnsureOK, confirm: answer(VerdictUnknown)}, []string{"ensure", "confirm"}, FoundUnknown},
		"first, hold lost":                {approveFake{intent: first, ensure: EnsureLost}, []string{"ensure"}, FoundHoldLost},
		"first, another token":            {approveFake{intent: first, ensure: EnsureOther}, []string{"ensure"}, FoundNotSent},
		"first, gate down":                {approveFake{intent: first, ensureErr: down}, []string{"ensure"}, FoundNotSent},
		"first, paused too long":          {approveFake{intent: first, ensure: EnsureOK, takes: 15 * time.Second}, []string{"ensure"}, FoundNotSent},
		"first, hold too short to charge": {approveFake{intent: Intent{First: true, HoldLeft: 11 * time.Second}, ensure: EnsureOK}, []string{"ensure"}, FoundNotSent},
		"retry, charged before":           {approveFake{intent: retry, lookup: answer(VerdictApproved)}, []string{"lookup"}, FoundApproved},
		"retry, declined before":          {approveFake{intent: retry, lookup: answer(VerdictDeclined)}, []string{"lookup"}, FoundDeclined},
		"retry, another amount":           {approveFake{intent: retry, lookup: answer(VerdictMismatched)}, []string{"lookup"}, FoundMismatched},
		"retry, no answer":                {approveFake{intent: retry, lookup: answer(VerdictUnknown)}, []string{"lookup"}, FoundUnknown},
		"retry, look-up refused":          {approveFake{intent: retry, lookup: answer(VerdictRefused)}, []string{"lookup"}, FoundUnknown},
		"retry, not found, hold lapsed":   {approveFake{intent: Intent{}, lookup: answer(VerdictNotFound)}, []string{"lookup"}, FoundUnknown},
		"retry, not found, sent again":    {approveFake{intent: retry, lookup: answer(VerdictNotFound), ensure: EnsureOK, confirm: answer(VerdictApproved)}, []string{"lookup", "ensure", "confirm"}, FoundApproved},
		"retry, in progress, sent again":  {approveFake{intent: retry, lookup: answer(VerdictInProgress), ensure: EnsureOK, confirm: answer(VerdictApproved)}, []string{"lookup", "ensure", "confirm"}, FoundApproved},
		"retry, a re-send's decline":      {approveFake{intent: retry, lookup: answer(VerdictNotFound), ensure: EnsureOK, confirm: answer(VerdictDeclined)}, []string{"lookup", "ensure", "confirm"}, FoundUnknown},
		"retry, a re-send's refusal":      {approveFake{intent: retry, lookup: answer(VerdictNotFound), ensure: EnsureOK, confirm: answer(VerdictRefused)}, []string{"lookup", "ensure", "confirm"}, FoundUnknown},
		"retry, hold lost":                {approveFake{intent: retry, lookup: answer(VerdictNotFound), ensure: EnsureLost}, []string{"lookup", "ensure"}, FoundUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := &c.fake
			f.now = time.Unix(0, 0)
			f.after = Booking{ID: 1, Status: Init}
			step := Approve{Store: storeOnly{f: f}, Gate: gateOnly{f: f}, Gateway: f, Queue: f, Clock: f,
				HoldTTL: held, Window: 2 * time.Minute, GatewayTimeout: 10 * time.Second}
			if _, err := step.Run(t.Context(), ApproveCommand{UserID: 7, BookingID: 1, PaymentKey: "k"}); err != nil {
				t.Fatal(err)
			}
			want := slices.Concat([]string{"begin"}, c.calls, []string{"end", "send", "mark sent"})
			if !slices.Equal(f.calls, want) {
				t.Errorf("called %v, want %v", f.calls, want)
			}
			if f.found.Code != c.found {
				t.Errorf("found %s, want %s", f.found.Code, c.found)
			}
		})
	}
}

func TestApproveReleasesADeadBookingAndKeepsTheHintInItsRow(t *testing.T) {
	f := &approveFake{intent: Intent{First: true, HoldLeft: time.Hour}, ensure: EnsureOK,
		confirm: Answer{Verdict: VerdictApproved}, after: Booking{ID: 1, Status: Cancelled}, sendErr: errors.New("down")}
	step := Approve{Store: storeOnly{f: f}, Gate: gateOnly{f: f}, Gateway: f, Queue: f, Clock: f, GatewayTimeout: time.Second}
	r, err := step.Run(t.Context(), ApproveCommand{})
	if err != nil || r.Deferred == nil {
		t.Errorf("answered %v, deferred %v", err, r.Deferred)
	}
	if want := []string{"begin", "ensure", "confirm", "end", "release", "send"}; !slices.Equal(f.calls, want) {
		t.Errorf("called %v, want %v", f.calls, want)
	}
}
