package env

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/servertest"
)

// TestWhoIsSpokenToInPlainText has every URL that leads somewhere: this machine may be
// spoken to as it likes, any other over TLS only, unless TLS_REQUIRED is false.
func TestWhoIsSpokenToInPlainText(t *testing.T) {
	for _, c := range []struct {
		name, value string
		fault       string // empty: taken
	}{
		{"DATABASE_URL", "postgres://u:hush@database.example/d?sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@database.example/d?sslmode=require", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@database.example/d?sslmode=verify-ca", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@database.example/d?sslmode=prefer", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@database.example/d?ssl=true", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@database.example/d?sslmode=verify-full&sslmode=disable", ""},
		{"DATABASE_URL", "postgres://u:hush@database.example/d?sslmode=disable&sslmode=verify-full", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@10.0.0.1/d?sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@[fd00::1]:5432/d?sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@0.0.0.0/d?sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@localhost.example/d?sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres://u:hush@127.0.0.1/d?host=database.example&sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres:///d?host=/run,database.example&sslmode=disable", wantsVerify},
		{"DATABASE_URL", "postgres:host=database.example sslmode=disable", "not a URL like postgres://"},
		{"DATABASE_URL", "postgres://u:hush@[::1]:5432/d?sslmode=disable", ""},
		{"DATABASE_URL", "postgres://u:hush@127.9.9.9/d?sslmode=require", ""},
		{"DATABASE_URL", "postgres://u:hush@LOCALHOST/d?sslmode=disable", ""},
		{"DATABASE_URL", "postgres:///d?host=/run/postgresql&sslmode=disable", ""},
		{"DATABASE_URL", "postgres://u:hush@localhost:5432,127.0.0.1:5433/d?sslmode=disable", ""},
		{"DATABASE_URL", "postgres://u:hush@localhost:5432,database.example:5432/d?sslmode=disable", wantsVerify},
		{"REDIS_URL", "redis://:hush@redis.example", wantsRediss},
		{"REDIS_URL", "redis://:hush@127.0.0.1,redis://:hush@redis.example", wantsRediss},
		{"REDIS_URL", "redis://:hush@127.0.0.1,redis.example:6379", wantsRediss},
		{"REDIS_URL", "rediss://:hush@redis.example,redis://:hush@redis.example", wantsRediss},
		{"REDIS_URL", "redis://:hush@[fd00::1]:6379", wantsRediss},
		{"REDIS_URL", "redis://:hush@[::1]:6379", ""},
		{"REDIS_URL", "rediss://:hush@redis.example, redis.example:6380", ""},
		{"PAYMENT_GATEWAY_URL", "http://gateway.example", wantsHTTPS},
		{"PAYMENT_GATEWAY_URL", "http://[fd00::1]:80", wantsHTTPS},
		{"PAYMENT_GATEWAY_URL", "http://127.0.0.1.example", wantsHTTPS},
		{"PAYMENT_GATEWAY_URL", "http://[::1]:3002", ""},
		{"PAYMENT_GATEWAY_URL", "http://localhost:3002", ""},
		{"YPAY_GATEWAY_URL", "http://gateway.example", wantsHTTPS},
		{"COMPENSATION_QUEUE_URL", "http://queue.example/q", wantsHTTPS},
		{"AWS_ENDPOINT_URL_SQS", "http://queue.example", wantsHTTPS},
		{"AWS_ENDPOINT_URL_SQS", "http://[::1]:3003", ""},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://secrets.example", wantsHTTPS},
	} {
		for _, required := range []string{"", "true", "false"} {
			e := whole()
			e[c.name], e["TLS_REQUIRED"] = c.value, required
			fault := c.fault
			if required == "false" && !strings.HasPrefix(fault, "not a URL") {
				fault = ""
				if strings.Contains(c.value, "sslmode=prefer") {
					fault = wantsOneWay
				}
			}
			_, err := readFrom(e, all...)
			switch {
			case fault == "" && err != nil:
				t.Errorf("TLS_REQUIRED=%s %s=%s: %v", required, c.name, c.value, err)
			case fault != "" && (err == nil || !strings.HasPrefix(err.Error(), c.name+": "+fault) || strings.Contains(err.Error(), "hush")):
				t.Errorf("TLS_REQUIRED=%s %s=%s: %v\nwant %s", required, c.name, c.value, err, fault)
			}
		}
	}
}

// TestWhatIsPutInPlaceOfNothing has URLs that do not say how TLS is spoken.
func TestWhatIsPutInPlaceOfNothing(t *testing.T) {
	for _, c := range []struct{ url, required, host, want string }{
		{"postgres://u:p%2Fq@database.example/d", "", "", "postgres://u:p%2Fq@database.example/d?sslmode=verify-full"},
		{"postgres://u:p%2Fq@database.example/d?pool_max_conns=2", "true", "", "postgres://u:p%2Fq@database.example/d?pool_max_conns=2&sslmode=verify-full"},
		{"postgres://u@database.example/d", "false", "", "postgres://u@database.example/d?sslmode=disable"},
		{"postgres://u@127.0.0.1/d", "", "", "postgres://u@127.0.0.1/d?sslmode=disable"},
		{"postgres://u@127.0.0.1/d?sslrootcert=/ca.pem", "", "", "postgres://u@127.0.0.1/d?sslmode=verify-full&sslrootcert=%2Fca.pem"},
		{"postgres:///d", "", "", "postgres:///d?sslmode=disable"},
		{"postgres:///d", "", "database.example", "postgres:///d?sslmode=verify-full"},
	} {
		config, err := readFrom(map[string]string{"DATABASE_URL": c.url, "TLS_REQUIRED": c.required, "PGHOST": c.host}, Database)
		if err != nil || config.DatabaseURL.Reveal() != c.want {
			t.Errorf("%s: %s %v", c.url, config.DatabaseURL.Reveal(), err)
		}
	}
}

// besideTheSystem is the system's authorities and one more.
func besideTheSystem(t *testing.T, pem []byte) *x509.CertPool {
	t.Helper()
	pool, err := x509.SystemCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	return pool
}

// A database whose authority is given is spoken to over TLS, wherever it is.
func TestAnAuthorityIsAsked(t *testing.T) {
	e := map[string]string{"DATABASE_URL": "postgres://u@127.0.0.1/d", "TLS_REQUIRED": "false", "DATABASE_CA": string(servertest.NewAuthority(t).PEM)}
	if c, err := readFrom(e, Database); err != nil || c.DatabaseURL.Reveal() != "postgres://u@127.0.0.1/d?sslmode=verify-full" {
		t.Errorf("%s %v", c.DatabaseURL.Reveal(), err)
	}
}

func TestAuthorities(t *testing.T) {
	database, redis := servertest.NewAuthority(t), servertest.NewAuthority(t)
	environment, _ := secretsManager(t, map[string]func(http.ResponseWriter){"ca": text(string(database.PEM) + string(redis.PEM))})
	environment["DATABASE_URL"], environment["REDIS_URL"] = whole()["DATABASE_URL"], whole()["REDIS_URL"]
	environment["DATABASE_CA_ARN"], environment["REDIS_CA"] = arn+"ca", string(redis.PEM)
	c, err := readFrom(environment, Database, Redis)
	if err != nil || !c.DatabaseCA.Equal(besideTheSystem(t, append(slices.Clone(database.PEM), redis.PEM...))) || !c.RedisCA.Equal(besideTheSystem(t, redis.PEM)) {
		t.Error(err)
	}
	if c, err := readFrom(whole(), all...); err != nil || c.DatabaseCA != nil || c.RedisCA != nil {
		t.Error("without authorities the system's count", err)
	}
}

// TestSecretsServiceIsHeldToItsTime has a service that sends one byte after the other,
// an endless head, and an endless secret.
func TestSecretsServiceIsHeldToItsTime(t *testing.T) {
	for name, c := range map[string]struct {
		piece string
		every time.Duration
	}{
		"drip": {"a", 5 * time.Millisecond}, "head": {"X-A: b\r\n", time.Nanosecond}, "body": {"\r\n" + strings.Repeat(" ", 32<<10), time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
						defer func() { _ = conn.Close() }()
						tick := time.NewTicker(c.every)
						defer tick.Stop()
						_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
						for err == nil {
							<-tick.C
							_, err = io.WriteString(conn, c.piece)
						}
					}()
				}
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			e := map[string]string{
				"DATABASE_URL_ARN": arn + "db", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://" + listener.Addr().String(),
				"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush",
			}
			began := time.Now()
			_, err = read(ctx, func(name string) string { return e[name] }, Database)
			if err == nil || !strings.HasPrefix(err.Error(), "DATABASE_URL_ARN: Secrets Manager: the service") {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("a read with 200 ms took %v", took)
			}
		})
	}
}

// TestProxiesAreNotAsked runs itself as a function with a proxy in its environment: the
// service's name leads nowhere, and the proxy hears nothing.
func TestProxiesAreNotAsked(t *testing.T) {
	if os.Getenv("TEST_PROXY") != "" {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := Read(ctx, Database); err == nil {
			t.Error("somebody answered")
		}
		return
	}
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(proxy.Close)
	self := exec.Command(os.Args[0], "-test.run=^TestProxiesAreNotAsked$")
	self.Env = []string{
		"TEST_PROXY=1", "HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL, "TLS_REQUIRED=false",
		"DATABASE_URL_ARN=" + arn + "db", "AWS_ENDPOINT_URL_SECRETS_MANAGER=http://secrets.invalid",
		"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=hush",
	}
	if out, err := self.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}
