package booking_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/queue"
)

// compensateFunction is CompensateFunction as its main wires it.
func (w *world) compensateFunction() lambda.Handler {
	return api.New(api.Options{Log: io.Discard}).Batch(0, queue.Parse, w.compensateStep().Run)
}

// forger makes messages that nobody sent, well-formed or not.
type forger struct {
	*rand.Rand
	ids []int64 // of bookings that exist
}

// seeded prints its seed; SEED=n replays one.
func seeded(t *testing.T, ids ...int64) *forger {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED=%q is not a number", text)
		}
	}
	t.Logf("SEED=%d replays the messages", seed)
	return &forger{rand.New(rand.NewPCG(seed, 0)), ids}
}

func (f *forger) one(of ...string) string { return of[f.IntN(len(of))] }

// body is a message as it stands in a record's JSON, and whether it is of the contract's form.
func (f *forger) body() (text string, valid bool) {
	if f.IntN(2) == 0 {
		return f.good(), true
	}
	id := strconv.FormatInt(f.ids[f.IntN(len(f.ids))], 10)
	task := f.one(`"compensate"`, `"resolve"`)
	message := func(version, task, id string) string {
		return `{"version":` + version + `,"task":` + task + `,"bookingId":` + id + `}`
	}
	good := message("1", task, id)
	return f.one(
		message(f.one("0", "2", "-1", "1.0", "1e0", `"1"`, "null", "true", "[1]", "18446744073709551617"), task, id),
		message("1", f.one(`"Compensate"`, `"refund"`, `"cancel"`, `"complete"`, `""`, `"resolve "`, "1", "null", `["resolve"]`, `{"task":"resolve"}`), id),
		message("1", task, f.one("0", "-1", "-"+id, "9223372036854775808", "-9223372036854775808", id+".0", id+"e0", `"`+id+`"`, "null", "["+id+"]", "+"+id, "0"+id, "0x1", "NaN", strings.Repeat("9", 5000))),
		good[:len(good)-1]+f.one(`,"amount":"1.00"}`, `,"userId":7}`, `,"status":"FAILED"}`, `,"bookingId":1}`, `,"task":"resolve"}`, `,"version":1}`, `,"BookingId":1}`, `,"":1}`),
		f.one("", "null", "[]", "{}", "1", `"compensate"`, "["+good+"]", `{"Records":[`+good+`]}`, strings.Repeat("[", 5000), strings.Repeat(`{"a":`, 3000)),
		good+f.one(good, "]", "}", ",", "x", "\x00", "\ufeff", strings.Repeat(" ", 17<<10)),
		good[:1+f.IntN(len(good)-1)],
		strings.Repeat(f.one(" ", "\n", "\ufeff"), 20<<10)+good,
		message("1", task, id+strings.Repeat("0", 300<<10)),
		strings.Replace(good, f.one("version", "task", "bookingId"), f.one("Version", "VERSION", "tasks", "bookingID", "\xff", "\xed\xa0\x80"), 1),
		good+"\xff", "\xff"+good,
		strings.ReplaceAll(good, `"`, `'`),
	), false
}

// good is of the contract's form, for a booking or for none, in any order and spacing.
func (f *forger) good() string {
	id := strconv.FormatInt(f.ids[f.IntN(len(f.ids))], 10)
	if f.IntN(4) == 0 {
		id = f.one("9223372036854775807", "4000000000", "1", "2")
	}
	members := []string{`"version":1`, `"task":` + f.one(`"compensate"`, `"resolve"`), `"bookingId":` + id}
	f.Shuffle(3, func(i, j int) { members[i], members[j] = members[j], members[i] })
	return f.one("", " ", "\n") + "{" + strings.Join(members, f.one(",", " , ", ",\t\n")) + "}" + f.one("", " ")
}

// batch is an event of up to ten records, and the ids of those that nobody can read.
func (f *forger) batch(number int) (event []byte, malformed []string) {
	var records []string
	for i := range 1 + f.IntN(10) {
		body, valid := f.body()
		id := fmt.Sprintf("m-%d-%d", number, i)
		if !valid {
			malformed = append(malformed, id)
		}
		records = append(records, fmt.Sprintf(`{"messageId":%q,"receiptHandle":"h","body":%s,"attributes":{"ApproximateReceiveCount":%q},"eventSource":%q,"eventSourceARN":%q}`,
			id, quoted(body), f.one("1", "5", "-1", "x"), f.one("aws:sqs", "aws:sns", "aws:s3", "", "evil"), f.one("arn:aws:sqs:us-east-1:000000000000:CompensationQueue", "", "x")))
	}
	return []byte(`{"Records":[` + strings.Join(records, ",") + `]}`), malformed
}

// quoted is the text as a JSON string, in which bytes that are no UTF-8 stay what they are.
func quoted(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, c := range []byte(text) {
		switch {
		case c == '"' || c == '\\':
			out.WriteByte('\\')
			out.WriteByte(c)
		case c < ' ':
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			out.WriteByte(c)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// storm hands so many forged messages to the function, in batches of up to ten. Those that nobody can read are reported
// by their own ids, and nobody else's.
func (w *world) storm(f *forger, messages int) {
	w.t.Helper()
	function := w.compensateFunction()
	for number, sent := 0, 0; sent < messages; number++ {
		event, malformed := f.batch(number)
		sent += bytes.Count(event, []byte(`"messageId"`))
		if got := w.handed(function, event); !slices.Equal(got, malformed) {
			w.t.Fatalf("reported %v, malformed are %v of %.2000q", got, malformed, event)
		}
	}
}

// handed are the ids that the function reports as failed.
func (w *world) handed(function lambda.Handler, event []byte) (failed []string) {
	w.t.Helper()
	out, err := function.Invoke(w.t.Context(), event)
	var answer struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err != nil || json.Unmarshal(out, &answer) != nil || answer.BatchItemFailures == nil {
		w.t.Fatalf("%s %v of %.200s", out, err, event)
	}
	for _, f := range answer.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier)
	}
	return failed
}

// TestForgedMessagesWhereNothingIsOwed has a thousand of them for bookings in every state: not a row, not a place and
// not a request to the gateway comes of it.
func TestForgedMessagesWhereNothingIsOwed(t *testing.T) {
	w := newWorld(t)
	product := w.product(30)
	gateway := w.watchGateway()
	all := w.everyState(product)
	var ids []int64
	for _, b := range all {
		ids = append(ids, b.ID)
	}
	slices.Sort(ids)
	before := w.standing(product)
	gateway.forget()
	w.storm(seeded(t, ids...), 1000)
	for what, when := range gateway.visits() {
		t.Errorf("%s, %d times", what, len(when))
	}
	before.same(t, w.standing(product), "after the storm")
	w.wantSound()
}

// TestBatchesThatAreNone hands the function what no queue sends. What has no id cannot be named: the empty name fails
// the whole batch, and that is right.
func TestBatchesThatAreNone(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.register(w.reserve(7, product), card("100000"))
	before := w.standing(product)
	function := w.compensateFunction()
	message := quoted(fmt.Sprintf(`{"version":1,"task":"resolve","bookingId":%d}`, b.ID))
	for event, want := range map[string][]string{
		`{"Records":[]}`:                         nil,
		`{"Records":[null]}`:                     {""},
		`{"Records":[5,[],"x",{}]}`:              {"", "", "", ""},
		`{"Records":[{"messageId":"a"}]}`:        {"a"},
		`{"Records":[{"messageId":5}]}`:          {""},
		`{"Records":[{"messageId":null}]}`:       {""},
		`{"Records":[{"body":` + message + `}]}`: nil,
		`{"Records":[{"messageId":"a","body":` + message + `},{"body":"x"},{"messageId":"c","body":"x"}]}`:    {"", "c"},
		`{"Records":[{"messageId":"a","body":null},{"messageId":"b","body":{"version":1}}]}`:                  {"a", "b"},
		`{"Records":[{"messageId":"a","eventSource":"aws:s3","s3":{}},{"EventSource":"aws:sns","Sns":{}}]}`:   {"a", ""},
		`{"Records":[{"messageId":"a","eventSource":"aws:kinesis","kinesis":{"data":` + message + `}}]}`:      {"a"},
		`{"Records":[{"messageId":"a","messageAttributes":5,"attributes":[],"md5OfBody":{},"body":"` + `"}]}`: {"a"},
	} {
		if got := w.handed(function, []byte(event)); !slices.Equal(got, want) {
			t.Errorf("%s: reported %q, want %q", event, got, want)
		}
	}
	for _, event := range []string{`null`, `{}`, `[]`, ``, `{"Records":null}`, `{"Records":{}}`, `{"Records":[`, `{"records":5}`} {
		if out, err := function.Invoke(t.Context(), []byte(event)); err == nil {
			t.Errorf("%s: %s", event, out)
		}
	}
	before.same(t, w.standing(product), "after what no queue sends")
}

// owing makes bookings of which each is owed something, and nobody was told.
func (w *world) owing(product int64) map[string]booking.Booking {
	w.t.Helper()
	user := int64(500)
	open := func(set booking.Set) booking.Booking {
		user++
		w.grant(user, "1000")
		return w.register(w.reserve(user, product), set)
	}
	paid := func(set booking.Set, prefix string) booking.Booking {
		b := open(set)
		if _, err := w.approve(b, prefix+b.HoldToken); err != nil {
			w.t.Fatal(err)
		}
		return b
	}
	all := map[string]booking.Booking{
		"charge taken, answer lost": paid(card("100000"), "lost-"), "charge not taken, no answer": paid(card("100000"), "timeout-"),
		"charge that failed": paid(card("100000"), "error-"), "charge never sent": open(card("100000")),
		"paid, then cancelled": paid(card("100000"), "ok-"), "refund that is refused": paid(card("100000"), "stuckcancel-"),
		"sold, then cancelled": paid(both("1000", booking.YPay, "99000"), "ok-"), "cancelled": open(card("100000")),
		"lapsed with its charge": paid(card("100000"), "ok-"), "lapsed": open(card("100000")), "cancelled in mid-charge": paid(card("100000"), "lost-"),
	}
	w.begin(all["charge never sent"], "ok-never")
	if _, err := w.complete(all["sold, then cancelled"]); err != nil {
		w.t.Fatal(err)
	}
	// Cancelled, and the process died before it could free the unit or send a word.
	for _, name := range []string{"paid, then cancelled", "refund that is refused", "sold, then cancelled", "cancelled", "cancelled in mid-charge"} {
		if _, err := w.store.Cancel(w.t.Context(), booking.Cancellation{UserID: all[name].UserID, BookingID: all[name].ID, Reason: "x"}); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, name := range []string{"lapsed", "lapsed with its charge"} {
		w.exec(`UPDATE booking SET hold_expires_at = now() - interval '1 hour' WHERE id = $1`, all[name].ID)
	}
	w.exec(`UPDATE payment_attempt SET lease_until = least(lease_until, now()), next_try_at = now() WHERE next_try_at IS NOT NULL`)
	w.exec(`UPDATE outbox SET created_at = created_at - interval '1 minute' WHERE sent_at IS NULL`) // the sweep leaves young ones to their step
	w.queue.take()
	return all
}

// seen is what a booking has come to, but for what no two of them share.
func (w *world) seen(b booking.Booking) string {
	got := w.read(b)
	state, sum := got.Refund()
	var out strings.Builder
	if got.Failure != nil {
		fmt.Fprint(&out, got.Failure.Code, " ")
	}
	fmt.Fprint(&out, got.Status, ", refund ", state, " ", sum)
	for _, p := range got.Payments {
		fmt.Fprint(&out, ", ", p.Method, " ", p.Status, " ", p.Approval)
		if p.Method.ByGateway() {
			fmt.Fprint(&out, ", kept ", w.stage.kept(p.OrderID), " of ", w.simulator.Confirms(p.OrderID), " confirms")
		}
	}
	for _, e := range got.Timeline {
		fmt.Fprint(&out, ", ", e.Event)
	}
	return out.String()
}

// TestForgedMessagesWhereMuchIsOwed lets one world have a thousand of them before its sweep, and another the sweep alone:
// both come to the same. By then no message has ended a booking.
func TestForgedMessagesWhereMuchIsOwed(t *testing.T) {
	ends := map[bool]map[string]string{}
	var mu sync.Mutex
	t.Run("worlds", func(t *testing.T) {
		for _, forged := range []bool{false, true} {
			t.Run(fmt.Sprint("forged ", forged), func(t *testing.T) {
				w := newWorld(t)
				product := w.product(30)
				gateway := w.watchGateway()
				all := w.owing(product)
				if forged {
					w.stormAndJudge(seeded(t), gateway, all)
				}
				for range 4 { // the third failure shows the refund as stuck in both
					for _, b := range all {
						w.later(b, false)
					}
					if _, err := w.sweepStep().Run(t.Context()); err != nil && !errors.Is(err, booking.ErrLeftToSweep) {
						t.Errorf("sweep: %v", err)
					}
					w.deliver() // what the sweep sent
				}
				end := map[string]string{"net": w.simulator.Ledger().Net}
				for name, b := range all {
					end[name] = w.seen(b)
				}
				places, err := w.gate.Occupancies(t.Context(), product)
				if err != nil {
					t.Fatal(err)
				}
				end["gate"] = fmt.Sprint(places[0].Available, " free, ", places[0].Held, " held, ", places[0].Confirmed, " sold")
				w.wantSound()
				mu.Lock()
				defer mu.Unlock()
				ends[forged] = end
			})
		}
	})
	for name, want := range ends[false] {
		if got := ends[true][name]; got != want {
			t.Errorf("%s: after the sweep alone\n%s\nand after forged messages\n%s", name, want, got)
		}
	}
}

// stormAndJudge lets the messages come. Live bookings stay alive; nobody is charged; no refund and no look-up is asked
// for twice within what the rows' backoff gives it.
func (w *world) stormAndJudge(f *forger, gateway *gatehouse, all map[string]booking.Booking) {
	w.t.Helper()
	live := map[string]bool{}
	for name, b := range all {
		f.ids = append(f.ids, b.ID)
		live[name] = w.read(b).Status.Live()
	}
	slices.Sort(f.ids)
	gateway.forget()
	w.storm(f, 1000)
	for name, b := range all {
		if got := w.read(b); got.Status.Live() != live[name] {
			w.t.Errorf("%s: messages made it %s", name, got.Status)
		}
	}
	came := gateway.visits()
	if len(came) == 0 {
		w.t.Error("the messages did nothing of what is owed")
	}
	for what, when := range came {
		if strings.Contains(what, "/confirm") {
			w.t.Errorf("%s: a message charged", what)
		}
		// A charge that was never answered is put down as unknown by its first look-up, and due at once.
		free := 0
		if strings.HasPrefix(what, "GET") {
			free = 1
		}
		wantPaced(w.t, what, when[min(free, len(when)-1):], func(int) time.Duration { return 2 * time.Second })
	}
}
