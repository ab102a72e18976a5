package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// booking is what of an answer matters here.
type booking struct {
	BookingID int64
	Status    string
	Payments  []struct {
		Status  string
		OrderID *string
	}
}

// charged is the order of the payment that waits for its charge; empty if there is none.
func (b booking) charged() string {
	for _, p := range b.Payments {
		if p.Status == "READY" && p.OrderID != nil {
			return *p.OrderID
		}
	}
	return ""
}

// word is what buyers were told about one booking.
type word struct {
	buyer     int64
	status    string // the last that is a promise: CONFIRMED, FAILED or CANCELLED
	cancelled bool   // he asked for it to be cancelled, whatever the answer was
}

// promises is everything that buyers were told and that must stay true. It is safe for concurrent use.
type promises struct {
	mu       sync.Mutex
	words    map[int64]*word
	declined map[string]int64 // order ids that were answered with a 402, with their bookings
	broken   []string         // found broken by the answers themselves
	answers  map[string]int   // by step, status and code
	ends     map[string]int   // by how visits ended
}

func newPromises() *promises {
	return &promises{words: map[int64]*word{}, declined: map[string]int64{}, answers: map[string]int{}, ends: map[string]int{}}
}

func (p *promises) of(id, buyer int64) *word {
	if p.words[id] == nil {
		p.words[id] = &word{buyer: buyer}
	}
	return p.words[id]
}

// told notes a booking as an answer showed it. What a key replays is what was true when it was stored.
func (p *promises) told(b booking, buyer int64, replayed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.of(b.BookingID, buyer)
	if replayed {
		return
	}
	final := b.Status == "FAILED" || b.Status == "CANCELLED"
	if (w.status == "FAILED" || w.status == "CANCELLED") && final && w.status != b.Status {
		p.broken = append(p.broken, fmt.Sprintf("H1/I8: booking %d was %s and is %s", b.BookingID, w.status, b.Status))
	}
	// Answers to requests that were under way at once come in any order: only what is final replaces CONFIRMED.
	if final || (b.Status == "CONFIRMED" && w.status == "") {
		w.status = b.Status
	}
}

// breaks notes what was found broken while the run goes on.
func (p *promises) breaks(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = append(p.broken, line)
}

// cancelling notes that the buyer is about to ask for a cancel.
func (p *promises) cancelling(id, buyer int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of(id, buyer).cancelled = true
}

func (p *promises) decline(order string, id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.declined[order] = id
}

// unexpected are codes that no fault may lead to: the buyers send what is right, and what they were given is there.
var unexpected = []string{
	"INTERNAL", "INVALID_JSON", "INVALID_REQUEST", "UNKNOWN_FIELD", "DUPLICATE_FIELD", "INVALID_AMOUNT", "INVALID_METHOD", "DUPLICATE_METHOD",
	"INVALID_IDEMPOTENCY_KEY", "UNAUTHENTICATED", "INVALID_SUBJECT", "PRODUCT_NOT_FOUND", "BOOKING_NOT_FOUND", "PAYLOAD_TOO_LARGE",
	"UNSUPPORTED_MEDIA_TYPE", "AMOUNT_MISMATCH", "METHOD_COMBINATION", "IDEMPOTENCY_KEY_REUSED", "SALE_NOT_OPEN", "SALE_CLOSED",
}

// answered counts an answer.
func (p *promises) answered(step string, status int, code string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(unexpected, code) {
		p.broken = append(p.broken, fmt.Sprintf("%s: an answer that nothing explains: %d %s", step, status, body))
	}
	p.answers[strings.TrimSpace(fmt.Sprintf("%-8s %d %s", step, status, code))]++
}

func (p *promises) ended(how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[how]++
}

func (p *promises) endings() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.ends)
}

// seen counts the answers whose step, status and code have that text in them.
func (p *promises) seen(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for what, times := range p.answers {
		if strings.Contains(what, text) {
			n += times
		}
	}
	return n
}

// bookingOf reads a booking; false if the answer bears none.
func bookingOf(body []byte) (booking, bool) {
	var b booking
	return b, json.Unmarshal(body, &b) == nil && b.BookingID != 0 && b.Status != ""
}

// compare says what of the bookings, by id with user and status, is not as buyers were told: H1 and I8.
func (p *promises) compare(rows map[int64][2]any) (found []string) {
	for id, w := range p.words {
		row, there := rows[id]
		status, _ := row[1].(string)
		switch {
		case !there:
			found = append(found, fmt.Sprintf("H1: booking %d was acknowledged to user %d and is not there", id, w.buyer))
		case fmt.Sprint(row[0]) != fmt.Sprint(w.buyer):
			found = append(found, fmt.Sprintf("H1: booking %d of user %d is now user %v's", id, w.buyer, row[0]))
		case w.status == "" || w.status == status || (w.status == "CONFIRMED" && w.cancelled && status == "CANCELLED"):
		default:
			found = append(found, fmt.Sprintf("H1/I8: booking %d was said to be %s and is %s (cancel asked: %v)", id, w.status, status, w.cancelled))
		}
	}
	return found
}
