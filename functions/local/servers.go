package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stayhold/functions/local/template"
	"stayhold/functions/local/trigger"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
	"stayhold/shared/postgres/postgrestest"
	"stayhold/shared/queue"
	"stayhold/shared/queue/queuetest"
)

// again is the pause between tries to bring a dead server back.
const again = time.Second

// server is a Postgres or a Redis that was started here.
type server interface {
	URL() string
	Port() int
	Done() <-chan struct{}
	Stop()
}

// supervise starts a server, brings it back on the same port whenever it dies, and stops it with the stack.
func (s *stack) supervise(ctx context.Context, name string, start func(ctx context.Context, port int) (server, error)) (server, error) {
	began := time.Now()
	first, err := start(ctx, 0)
	if err != nil {
		return nil, err
	}
	s.out.printf("%-12s 127.0.0.1:%d  (%.1f s)", name, first.Port(), time.Since(began).Seconds())
	if err := s.share(first.Port()); err != nil {
		first.Stop()
		return nil, err
	}
	end, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for running := first; running != nil; {
			select {
			case <-end.Done():
				running.Stop()
				return
			case <-running.Done():
			}
			s.out.printf("%s  %s died, and is started again", clock(), name)
			running = s.revive(end, name, first.Port(), start)
		}
	}()
	s.later(servers, func(ctx context.Context) {
		stop()
		select {
		case <-ended:
		case <-ctx.Done():
			s.out.printf("%s did not stop in time", name)
		}
	})
	return first, nil
}

// revive tries until the server is back; nil when the stack stops first.
func (s *stack) revive(end context.Context, name string, port int, start func(context.Context, int) (server, error)) server {
	told := ""
	for end.Err() == nil {
		back, err := start(end, port)
		if err == nil {
			s.out.printf("%s  %s is back", clock(), name)
			return back
		}
		if text := oneLine(err); text != told && end.Err() == nil {
			told = text
			s.out.printf("%s  %s", clock(), text)
		}
		pause := time.NewTimer(again)
		select {
		case <-pause.C:
		case <-end.Done():
			pause.Stop()
		}
	}
	return nil
}

func (s *stack) startDatabase(ctx context.Context) error {
	if s.databaseURL != "" {
		if err := reach("DATABASE_URL", s.functionsURL, "5432", "postgres", "postgresql"); err != nil || s.databaseURL == s.functionsURL {
			return err
		}
		return reach("MIGRATE_DATABASE_URL", s.databaseURL, "5432", "postgres", "postgresql")
	}
	log, err := openLog(filepath.Join(s.dir, "log"), "postgres", s.out)
	if err != nil {
		return err
	}
	running, err := s.supervise(ctx, "postgres", func(ctx context.Context, port int) (server, error) {
		return postgrestest.Start(ctx, postgrestest.Config{Dir: filepath.Join(s.dir, "postgres"), Port: port, Fsync: true, Log: log})
	})
	if err != nil {
		return err
	}
	s.databaseURL = running.URL()
	s.functionsURL = postgrestest.Functions(s.databaseURL)
	s.functionsLogin, err = postgrestest.Login(s.databaseURL)
	return err
}

func (s *stack) startGate(ctx context.Context) error {
	if s.redisURL != "" {
		return reach("REDIS_URL", s.redisURL, "6379", "redis", "rediss")
	}
	log, err := openLog(filepath.Join(s.dir, "log"), "redis", s.out)
	if err != nil {
		return err
	}
	running, err := s.supervise(ctx, "redis", func(ctx context.Context, port int) (server, error) {
		return holdtest.Start(ctx, holdtest.Config{Dir: filepath.Join(s.dir, "redis"), Port: port, Log: log})
	})
	if err != nil {
		return err
	}
	s.redisURL = running.URL()
	s.stale = append(s.stale, func(ctx context.Context) error {
		_, err := holdtest.Do(ctx, s.redisURL, "FLUSHALL")
		return err
	})
	return nil
}

// seed puts the demo data into an empty database. What Redis, the simulator and the queue remember belonged to another
// one: holds and charges of a database that was emptied must not come back.
func (s *stack) seed(ctx context.Context) error {
	target, err := s.ownDatabaseURL()
	if err != nil {
		return err
	}
	empty, err := postgrestest.Empty(ctx, target)
	if err != nil || !empty {
		return err
	}
	if err := postgrestest.SeedDemo(ctx, target); err != nil {
		return fmt.Errorf("demo data: %w", err)
	}
	for _, empty := range s.stale {
		if err := empty(ctx); err != nil {
			return fmt.Errorf("emptying what belonged to another database: %w", err)
		}
	}
	s.out.printf("%-12s products 1 to 5, users 1 to 1000 with 50000 points each", "demo data")
	return nil
}

// ownDatabaseURL is the database's URL for connections of the front itself, with what the functions are told beside it.
func (s *stack) ownDatabaseURL() (string, error) {
	u, err := url.Parse(s.databaseURL)
	if err != nil {
		return "", errors.New("DATABASE_URL: it is not a URL")
	}
	q := u.Query()
	if pooler, _ := strconv.ParseBool(s.passed["DATABASE_POOLER"]); pooler {
		q.Set("default_query_exec_mode", "exec")
	}
	if ca := s.passed["DATABASE_CA"]; ca != "" {
		path, err := filepath.Abs(filepath.Join(s.dir, "database-ca.pem"))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(ca), 0o600); err != nil {
			return "", err
		}
		q.Set("sslrootcert", path)
		if !q.Has("sslmode") {
			q.Set("sslmode", "verify-full")
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// startSimulators opens the payment simulator and the queue, unless both were brought.
func (s *stack) startSimulators(context.Context) error {
	if s.gatewayURL == "" {
		if err := s.openSimulator(); err != nil {
			return err
		}
	}
	if s.ypayURL == "" {
		s.ypayURL = s.gatewayURL
	}
	if s.ypaySecret == "" {
		s.ypaySecret = s.gatewaySecret
	}
	if s.sqsEndpoint == "" {
		return s.openQueues()
	}
	return reach("AWS_ENDPOINT_URL_SQS", s.sqsEndpoint, defaultPortOf(s.sqsEndpoint), "http", "https")
}

func defaultPortOf(address string) string {
	if strings.HasPrefix(address, "https:") {
		return "443"
	}
	return "80"
}

func (s *stack) openSimulator() error {
	s.gatewayURL = s.local(2)
	if s.gatewaySecret == "" {
		s.gatewaySecret = localSecret
	}
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Dir: filepath.Join(s.dir, "payments"), Secret: s.gatewaySecret})
	if err != nil {
		return fmt.Errorf("payment simulator: %w", err)
	}
	s.later(servers, func(context.Context) {
		if err := simulator.Close(); err != nil {
			s.out.printf("payment simulator: %v", err)
		}
	})
	s.stale = append(s.stale, func(context.Context) error { return simulator.Reset() })
	s.open(2, simulator)
	return s.share(s.port + 2)
}

func (s *stack) openQueues() error {
	queues, err := queuetest.New(queuetest.Options{Dir: filepath.Join(s.dir, "queue")})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	s.later(servers, func(context.Context) {
		if err := queues.Close(); err != nil {
			s.out.printf("queue: %v", err)
		}
	})
	// Dead-letter queues first: the others name them.
	for _, dead := range []bool{true, false} {
		for _, q := range s.template.Queues {
			if (q.DeadLetter == "") != dead {
				continue
			}
			if err := queues.EnsureQueue(q.Name, attributes(q)); err != nil {
				return fmt.Errorf("queue %s: %w", q.Name, err)
			}
		}
	}
	s.stale = append(s.stale, func(context.Context) error { return queues.PurgeAll() })
	s.sqsEndpoint = s.local(3)
	for _, source := range s.template.Sources {
		s.queueURL = s.local(3) + "/" + template.Account + "/" + source.Queue
	}
	s.open(3, queues)
	return s.share(s.port + 3)
}

func attributes(q template.Queue) map[string]string {
	out := map[string]string{"VisibilityTimeout": strconv.Itoa(int(q.Visibility / time.Second))}
	if q.DeadLetter != "" {
		out["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:%s:%s:%s","maxReceiveCount":%d}`,
			template.Region, template.Account, q.DeadLetter, q.MaxReceive)
	}
	return out
}

// startTriggers begins to poll the queue and to call by schedule.
func (s *stack) startTriggers(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	for _, source := range s.template.Sources {
		q := &trigger.Queue{
			Consumer: queuetest.NewConsumer(queue.Options{
				QueueURL: s.queueURL, Endpoint: s.sqsEndpoint, Region: template.Region,
				AccessKeyID: "local", SecretAccessKey: "local",
			}, "arn:aws:sqs:"+template.Region+":"+template.Account+":"+s.queueURL[strings.LastIndexByte(s.queueURL, '/')+1:]),
			Invoker: s.invokers[source.Function], Batch: source.BatchSize, Partial: source.Partial,
			Report: func(err error) {
				s.out.printf("%s  %s: %s", clock(), source.Function, visible(err.Error()))
			},
		}
		s.triggers.Go(func() { q.Run(ctx) })
	}
	for _, t := range s.template.Schedules {
		every := t.Every
		if s.sweepInterval > 0 && t.Function == sweepFunction {
			every = s.sweepInterval
		}
		schedule := &trigger.Schedule{Name: t.Name, Every: every, Input: t.Input, Invoker: s.invokers[t.Function], Done: s.scheduled(t.Function)}
		s.triggers.Go(func() { schedule.Run(ctx) })
	}
	s.later(callers, func(context.Context) { cancel() })
	s.later(servers, func(ctx context.Context) {
		ended := make(chan struct{})
		go func() { s.triggers.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-ctx.Done():
		}
	})
	return nil
}
