package stacktest

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/functions/local/sandbox"
	"stayhold/shared/servertest"
)

// deaf takes connections, and never answers what their callers say. told gets the name when one begins to speak, and the
// name with "is left" when he gives up.
func deaf(t *testing.T, name string, told chan<- string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				if _, err := conn.Read(make([]byte, 1)); err == nil {
					told <- name
				}
				_, _ = io.Copy(io.Discard, conn)
				told <- name + " is left"
			}()
		}
	}()
	return listener.Addr().String()
}

// TestInitWaitsForNobody has the functions meet a database and a gate that take connections and answer nothing: a function
// asks for its first work all the same, and speaks to the one while the other is silent, and only to whom its path needs.
func TestInitWaitsForNobody(t *testing.T) {
	t.Parallel()
	authority := string(servertest.NewAuthority(t).PEM)
	bin := filepath.Join(ownDir(t), "bin")
	for _, secure := range []bool{false, true} {
		for function, opens := range map[string][]string{
			"ReserveFunction": {"gate"}, "ApproveFunction": {"gate", "database"}, "CompleteFunction": {"gate", "database"},
			"RegisterFunction": {}, "CancelFunction": {}, "QueryFunction": {},
		} {
			t.Run(fmt.Sprintf("%s, TLS %v", function, secure), func(t *testing.T) {
				t.Parallel()
				told := make(chan string, 100)
				// The database is given up by nobody as long as this takes.
				database, gate := "postgres://u:p@"+deaf(t, "database", told)+"/d?connect_timeout=120&sslmode=", "://:p@"+deaf(t, "gate", told)
				vars := []string{"PAYMENT_GATEWAY_URL=http://127.0.0.1:1", "PAYMENT_GATEWAY_SECRET=none", "COMPENSATION_QUEUE_URL=http://127.0.0.1:1/q"}
				if secure {
					vars = append(vars, "DATABASE_URL="+database+"verify-full", "DATABASE_CA="+authority, "REDIS_URL=rediss"+gate, "REDIS_CA="+authority, "TLS_REQUIRED=true")
				} else {
					vars = append(vars, "DATABASE_URL="+database+"disable", "REDIS_URL=redis"+gate)
				}
				prepared(t, bin, function, vars)
				for len(opens) > 0 {
					select {
					case what := <-told:
						if !slices.Contains(opens, what) {
							t.Fatalf("%s, and %v is still to hear something", what, opens)
						}
						opens = slices.DeleteFunc(opens, func(one string) bool { return one == what })
					case <-time.After(20 * time.Second):
						t.Fatalf("%v hears nothing", opens)
					}
				}
				for len(told) > 0 {
					if what := <-told; !strings.HasSuffix(what, "is left") {
						t.Errorf("the %s hears of a connection that the path may not need", what)
					}
				}
			})
		}
	}
}

// prepared starts one environment of a function and returns when it has asked for its first work.
func prepared(t *testing.T, bin, function string, vars []string) {
	t.Helper()
	host, err := sandbox.Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithinBusy)
		defer cancel()
		if err := host.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	pool := host.Add(sandbox.Function{
		Name: function, Executable: filepath.Join(bin, function, "bootstrap"), Handler: "bootstrap",
		Timeout: time.Minute, Memory: 256, Variables: vars, Output: t.Output(),
	}, 1)
	if err := pool.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestARefusalOpensNoDatabase asks a new environment for what is sold out, again and again: it speaks to the gate alone,
// on the connection of its init. The first buyer who is admitted has the database opened.
func TestARefusalOpensNoDatabase(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	e.stock(t)
	f := e.host.Pool("ReserveFunction").Function()
	f.Name = "AnotherReserveFunction"
	e.host.Add(f, 1)
	for range 20 {
		e.invoke(t, f.Name, event(reserving, soldOut).payload).problem(t, 409, "SOLD_OUT")
	}
	if d, g := e.database.Connections(), e.gate.Connections(); d != 0 || g != 1 {
		t.Errorf("%d connections to the database and %d to the gate, for a refusal", d, g)
	}
	e.invoke(t, f.Name, event(reserving, `{"productId":1}`, claim(stranger)).payload).want(t, 201)
	if d, g := e.database.Connections(), e.gate.Connections(); d != 1 || g != 1 {
		t.Errorf("%d connections to the database and %d to the gate, for a booking", d, g)
	}
}
