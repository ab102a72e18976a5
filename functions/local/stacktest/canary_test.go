package stacktest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"unicode"

	"stayhold/functions/local/harness"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
)

// canaries are the secrets of a stack, by what they are for.
type canaries map[string]string

// found names the secrets that stand in a text, as they are or in a form in which they travel.
func (c canaries) found(text string) (names []string) {
	for name, secret := range c {
		quoted, _ := json.Marshal(secret)
		for _, form := range []string{
			secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(string(quoted), `"`),
			base64.StdEncoding.EncodeToString([]byte(secret + ":")), base64.StdEncoding.EncodeToString([]byte(secret)),
		} {
			if strings.Contains(text, form) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

func TestCanariesAreFound(t *testing.T) {
	c := canaries{"a": "s/cr t"}
	for _, text := range []string{"x s/cr t y", "s%2Fcr+t", "s%2Fcr%20t", base64.StdEncoding.EncodeToString([]byte("s/cr t:"))} {
		if len(c.found(text)) != 1 {
			t.Errorf("not found in %q", text)
		}
	}
	if names := c.found("scrt"); len(names) > 0 {
		t.Errorf("%v", names)
	}
}

// parrot is a gateway that says back, in all places, whatever it is told in secret.
type parrot struct {
	*httptest.Server
	talks atomic.Bool
}

func newParrot(t *testing.T, secrets ...string) *parrot {
	t.Helper()
	simulators := map[string]http.Handler{}
	for _, secret := range secrets {
		simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = simulator.Close() })
		simulators[secret] = simulator
	}
	p := &parrot{}
	var turn atomic.Int64
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secret, _, _ := r.BasicAuth()
		if !p.talks.Load() || r.URL.Path == "/ledger" {
			if simulators[secret] == nil {
				secret = secrets[0]
			}
			simulators[secret].ServeHTTP(w, r)
			return
		}
		said := secret + " " + r.Header.Get("Authorization")
		w.Header().Set("X-Said", said)
		switch turn.Add(1) % 4 {
		case 0:
			w.Header().Set("Location", p.URL+"/"+url.PathEscape(said))
			w.WriteHeader(http.StatusTemporaryRedirect)
		case 1:
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"code":%q,"message":%q}`, said, said)
		case 2:
			_, _ = fmt.Fprintf(w, `{"status":%q,"orderId":%q,"paymentKey":%q,"totalAmount":%q}`, said, said, said, said)
		default:
			_, _ = w.Write([]byte(said))
		}
	}))
	t.Cleanup(p.Close)
	return p
}

// breaking are texts that a log must take without harm.
var breaking = []string{
	"line one\nline two\r\n{\"level\":\"ERROR\"}", "\x00\x01\x1b[31mred\x1b[0m\x7f", "\u2028\u2029\u202e", `"}{"forged":"line"`, "\xff\xfe", strings.Repeat("long ", 4000),
}

// Every secret that a stack has is used, refused and said back by others, and whatever comes out of the stack is looked
// through for it: answers, logs, metrics, what the terminal shows, and the last words of processes that crash.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	secrets := canaries{"PAYMENT_GATEWAY_SECRET": "canary-card+/7f3a", "YPAY_GATEWAY_SECRET": "canary-ypay+/9b1c"}
	gateway := newParrot(t, secrets["PAYMENT_GATEWAY_SECRET"], secrets["YPAY_GATEWAY_SECRET"])
	s := ownStack(t, "PAYMENT_GATEWAY_URL="+gateway.URL, "PAYMENT_GATEWAY_SECRET="+secrets["PAYMENT_GATEWAY_SECRET"],
		"YPAY_GATEWAY_URL="+gateway.URL, "YPAY_GATEWAY_SECRET="+secrets["YPAY_GATEWAY_SECRET"],
		"GATEWAY_TIMEOUT=1s", "SWEEP_INTERVAL=500ms", "SWEEP_GRACE=1s")
	secrets.read(t, s)
	b := s.buyer(t)
	secrets["a token"] = b.token
	var told answers
	product := s.product(t, 50)

	b.grant(t, "10000")
	b.bought(t, product, pay("CARD", "97000")+","+pay("POINT", "3000"))
	s.speakHostile(t, &told, b)
	logs := s.wholeLogs(t)

	gateway.talks.Store(true)
	for _, method := range []string{"CARD", "YPAY"} {
		for range 4 {
			c := s.buyer(t)
			r := c.registered(t, product, pay(method, "100000"))
			for range 2 {
				told.keep(c.approve(r.BookingID, key("ok")))
			}
			told.keep(c.cancel(r.BookingID))
		}
	}
	gateway.talks.Store(false)

	s.changePasswords(t)
	for _, path := range []string{"/points", "/bookings", fmt.Sprintf("/checkout/%d", product), "/health"} {
		told.keep(b.get(path))
	}
	told.keep(b.reserve(product))
	told.keep(b.complete(1))
	told.keep(b.approve(1, key("ok")))
	told.keep(b.cancel(1))
	for _, function := range []string{"SweepFunction", "AdminFunction", "MigrateFunction", "CompensateFunction"} {
		told.keep(s.invoke(function, `{"action":"audit","Records":[]}`))
	}
	s.crash(t)
	if err := s.stop(); err != nil {
		t.Error(err)
	}

	told.each(func(a answer) {
		if names := secrets.found(string(a.body) + fmt.Sprint(a.header)); len(names) > 0 {
			t.Errorf("%v in an answer: %v", names, a)
		}
	})
	if names := secrets.found(s.out.String()); len(names) > 0 {
		t.Errorf("%v on the terminal:\n%s", names, s.out)
	}
	dumps := 0
	for path, text := range s.readLogs(t) {
		if names := secrets.found(text); len(names) > 0 {
			t.Errorf("%v in %s", names, path)
		}
		dumps += strings.Count(text, "SIGQUIT: quit")
	}
	if dumps == 0 || logs == 0 {
		t.Errorf("%d crashes and %d lines were looked at: the test shows nothing", dumps, logs)
	}
}

// read takes the passwords of the servers that the stack started, and the key that signs tokens.
func (c canaries) read(t *testing.T, s *stack) {
	t.Helper()
	for _, name := range []string{"DATABASE_URL", "REDIS_URL"} {
		u, err := url.Parse(s.env[name])
		if err != nil {
			t.Fatal(err)
		}
		password, given := u.User.Password()
		if !given || len(password) < 8 {
			t.Fatalf("%s bears no password", name)
		}
		c[name] = password
	}
	pem, err := os.ReadFile(filepath.Join(s.dir, "token-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	c["the key that signs tokens"] = strings.Split(string(pem), "\n")[2]
}

// answers are all that callers were told.
type answers struct {
	mu  sync.Mutex
	all []answer
}

func (l *answers) keep(a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, a)
}

func (l *answers) each(look func(answer)) {
	for _, a := range l.all {
		look(a)
	}
}

// speakHostile sends texts that break logs to every place which a caller, the queue or an operator can write to.
func (s *stack) speakHostile(t *testing.T, told *answers, b *buyer) {
	t.Helper()
	for _, text := range breaking {
		event := map[string]any{
			"version": "2.0", "routeKey": text, "rawPath": text, "headers": map[string]string{"idempotency-key": text, text: text},
			"pathParameters": map[string]string{"bookingId": text}, "body": text,
			"requestContext": map[string]any{"requestId": text, "authorizer": map[string]any{"jwt": map[string]any{"claims": map[string]string{"sub": "7", text: text}}}},
		}
		records := map[string]any{"Records": []map[string]string{{"messageId": text, "body": text}}}
		for _, function := range []string{"ReserveFunction", "RegisterFunction", "ApproveFunction", "CompleteFunction", "CancelFunction", "QueryFunction"} {
			told.keep(s.invoke(function, marshalled(t, event)))
		}
		told.keep(s.invoke("CompensateFunction", marshalled(t, records)))
		told.keep(s.invoke("SweepFunction", marshalled(t, text)))
		for _, payload := range []map[string]any{
			{"action": text}, {"action": "grant-points", "userId": b.id, "amount": "1", "reason": text}, {"action": "cancel", "bookingId": 1, "reason": text, text: 1},
		} {
			told.keep(s.invoke("AdminFunction", marshalled(t, payload)))
		}
		told.keep(b.get("/bookings/" + url.PathEscape(text)))
		told.keep(b.get("/bookings?cursor=" + url.QueryEscape(text)))
		told.keep(b.approve(1, text))
	}
}

func marshalled(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wholeLogs fails the test unless each line of the functions' logs and metrics is one JSON object without a control
// character, of a length that CloudWatch keeps in one piece, and counts them.
func (s *stack) wholeLogs(t *testing.T) (lines int) {
	t.Helper()
	for path, text := range s.readLogs(t) {
		if !strings.HasSuffix(path, "Function.log") {
			continue
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "SCHED ") {
				continue // the trace of template.yaml's GODEBUG, on a machine that has run for weeks
			}
			lines++
			line = strings.TrimSuffix(line, "\n")
			var object map[string]any
			if json.Unmarshal([]byte(line), &object) != nil || strings.ContainsFunc(line, unicode.IsControl) || len(line) > 16<<10 {
				t.Errorf("%s: a line of %d bytes: %q", path, len(line), short(line))
			}
		}
	}
	return lines
}

// readLogs reads all that the stack and its servers have logged, by file.
func (s *stack) readLogs(t *testing.T) map[string]string {
	t.Helper()
	logs := map[string]string{}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".log") && !strings.HasSuffix(path, ".log.1") {
			return err
		}
		text, err := os.ReadFile(path)
		logs[path] = string(text)
		return err
	})
	if err != nil || len(logs) < 10 {
		t.Fatalf("%d logs: %v", len(logs), err)
	}
	return logs
}

// changePasswords locks the functions out of database and gate: what they hold is wrong from now on.
func (s *stack) changePasswords(t *testing.T) {
	t.Helper()
	conn := s.connect(t)
	defer func() { _ = conn.Close(context.Background()) }()
	for _, sql := range []string{
		`DO $$ DECLARE r record; BEGIN
			FOR r IN SELECT rolname FROM pg_roles WHERE rolcanlogin LOOP
				EXECUTE format('ALTER ROLE %I PASSWORD %L', r.rolname, 'another one');
			END LOOP;
		END $$`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`,
	} {
		if _, err := conn.Exec(background(t), sql); err != nil {
			t.Fatal(err)
		}
	}
	gate, err := url.Parse(s.env["REDIS_URL"])
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]any{{"CONFIG", "SET", "requirepass", "another-one"}, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}} {
		if _, err := holdtest.Do(background(t), gate.String(), command...); err != nil {
			t.Fatal(err)
		}
		gate.User = url.UserPassword(gate.User.Username(), "another-one")
	}
}

// crash lets every environment die with all that it knows on its lips.
func (s *stack) crash(t *testing.T) {
	t.Helper()
	all, err := harness.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range harness.Family(s.cmd.Process.Pid, all) {
		if p.Function() != "" {
			// An idle one is frozen, and hears of it when it is thawed.
			if err := errors.Join(syscall.Kill(p.PID, syscall.SIGQUIT), syscall.Kill(p.PID, syscall.SIGCONT)); err != nil {
				t.Errorf("%s: %v", p.Args, err)
			}
		}
	}
	eventually(t, readyWithin, "the last words of a process", func() error {
		for _, text := range s.readLogs(t) {
			if strings.Contains(text, "SIGQUIT: quit") {
				return nil
			}
		}
		return fmt.Errorf("none yet")
	})
}
