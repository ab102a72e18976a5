// Package paymentgatewaytest is a payment gateway that moves no money: an http.Handler
// that speaks the dialect of package paymentgateway, for tests and the local stack.
//
// What a charge does is chosen by the prefix of its paymentKey (see behaviour.go).
// GET /ledger is the only truth about money outside, and needs no credentials.
//
// Invariants: one charge per order id, for ever; an answer of 2xx or 4xx to a POST is
// remembered under its Idempotency-Key (with verb and path, without the body) and given
// again, a 5xx never; two requests with one key at once: the second answers 409. What
// an answer says is on disk before it is sent, if there is a directory: a charge, its
// cancel, the remembered answers, and charges that are still to come.
//
// When the process dies half way, the log's last record counts whole or not at all.
// A paymentKey that was used for several orders (a real gateway refuses that) charges
// each of them; its cancel returns the charge whose order the Idempotency-Key ends in,
// or else the youngest that is not yet cancelled.
package paymentgatewaytest

import (
	"crypto/subtle"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/shopspring/decimal"
)

const (
	defaultLateAfter = 5 * time.Second
	maxRequest       = 16 << 10
)

// Options of a simulator. Dir is where its log lives ("" = memory only), Secret the one
// that callers must show, LateAfter how long after the request a late charge happens
// (0 means 5 s).
type Options struct {
	Dir       string
	Secret    string
	LateAfter time.Duration
}

// Simulator is the gateway. It is safe for concurrent use; one process per Dir.
type Simulator struct {
	secret    string
	lateAfter time.Duration
	mux       *http.ServeMux
	closing   chan struct{}
	closeOnce sync.Once

	mu       sync.Mutex
	log      *journal // nil: memory only
	state    state
	inFlight map[string]bool // idempotency scopes that are being worked on
	epoch    int             // counts resets
}

var _ http.Handler = (*Simulator)(nil)

// New opens the simulator and reads what its directory remembers. It fails when the
// directory or its log cannot be used, or when the log is damaged before its end.
func New(o Options) (*Simulator, error) {
	s := &Simulator{
		secret: o.Secret, lateAfter: o.LateAfter, closing: make(chan struct{}),
		state: newState(), inFlight: map[string]bool{}, mux: http.NewServeMux(),
	}
	if s.lateAfter <= 0 {
		s.lateAfter = defaultLateAfter
	}
	if o.Dir != "" {
		log, err := openJournal(o.Dir, s.state.apply)
		if err != nil {
			return nil, err
		}
		s.log = log
	}
	s.mux.HandleFunc("POST /v1/payments/confirm", s.authenticated(s.confirm))
	s.mux.HandleFunc("GET /v1/payments/orders/{orderId}", s.authenticated(s.lookup))
	s.mux.HandleFunc("POST /v1/payments/{paymentKey}/cancel", s.authenticated(s.cancel))
	s.mux.HandleFunc("GET /ledger", s.ledger)
	return s, nil
}

// ServeHTTP answers as the gateway does.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close cuts the connections of requests that are held without an answer, so that an
// http.Server around it can stop, and closes the log. Requests after it answer 500.
func (s *Simulator) Close() error {
	var err error
	s.closeOnce.Do(func() {
		close(s.closing)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.log != nil {
			err = s.log.close()
		}
	})
	return err
}

// Reset forgets every charge, order and remembered answer, on disk too. Requests that
// are being worked on end without an answer and without a charge.
func (s *Simulator) Reset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log != nil {
		if err := s.log.empty(); err != nil {
			return err
		}
	}
	s.state, s.inFlight, s.epoch = newState(), map[string]bool{}, s.epoch+1
	return nil
}

// Ledger is the body of GET /ledger: one entry per charge, oldest first, and the sum
// of those not cancelled. Amounts are decimals with two places.
type Ledger struct {
	Charges []Charge `json:"charges"`
	Net     string   `json:"net"`
}

// Charge is money that was taken for one order. Confirms and Cancels count the requests
// that came in for it, answered or not.
type Charge struct {
	OrderID    string `json:"orderId"`
	PaymentKey string `json:"paymentKey"`
	Amount     string `json:"amount"`
	Cancelled  bool   `json:"cancelled"`
	Confirms   int    `json:"confirms"`
	Cancels    int    `json:"cancels"`
}

// Ledger returns the ledger as it is now.
func (s *Simulator) Ledger() Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, net := time.Now(), decimal.Zero
	l := Ledger{Charges: []Charge{}}
	for _, o := range s.state.charges {
		if !o.charged(now) {
			continue
		}
		if !o.cancelled {
			net = net.Add(o.amount)
		}
		l.Charges = append(l.Charges, Charge{
			OrderID: o.id, PaymentKey: o.paymentKey, Amount: o.amount.StringFixed(2),
			Cancelled: o.cancelled, Confirms: o.confirms, Cancels: o.cancels,
		})
	}
	l.Net = net.StringFixed(2)
	return l
}

// Confirms counts the confirm requests that came in for the order, charged or not.
func (s *Simulator) Confirms(orderID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.state.orders[orderID]; o != nil {
		return o.confirms
	}
	return 0
}

// Cancels counts the cancel requests that came in for the order's charge.
func (s *Simulator) Cancels(orderID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.state.orders[orderID]; o != nil {
		return o.cancels
	}
	return 0
}

func (s *Simulator) ledger(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(s.Ledger())
	if err != nil {
		refuse(500, "FAILED_INTERNAL_SYSTEM_PROCESSING").send(w)
		return
	}
	answer{status: 200, body: body}.send(w)
}

// authenticated lets only callers with the secret through, and reads the whole body:
// without that net/http does not notice that a held caller went away.
func (s *Simulator) authenticated(next func(http.ResponseWriter, *http.Request, []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
		user, password, ok := r.BasicAuth()
		switch {
		case !ok || password != "" || subtle.ConstantTimeCompare([]byte(user), []byte(s.secret)) != 1:
			refuse(401, "UNAUTHORIZED_KEY").send(w)
		case err != nil || len(r.Header.Get("Idempotency-Key")) > 300:
			refuse(400, "INVALID_REQUEST").send(w)
		default:
			next(w, r, body)
		}
	}
}
