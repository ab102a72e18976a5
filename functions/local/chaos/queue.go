package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"stayhold/shared/queue/queuetest"
)

const queueName = "compensation"

// badQueue is a queue that loses messages, and takes some twice: of a hundred calls that send, as many as it is told.
type badQueue struct {
	url      string
	kept     *queuetest.Server
	lost     *queuetest.Server // answers as well as the other, and nobody reads it
	listener net.Listener
	web      *http.Server

	mu       sync.Mutex
	random   *rand.Rand
	drop     int
	repeat   int
	dropped  int
	repeated int
}

// openQueue opens the queue on a free port.
func openQueue(random *rand.Rand, drop, repeat int) (*badQueue, error) {
	q := &badQueue{random: random, drop: drop, repeat: repeat}
	for _, server := range []**queuetest.Server{&q.kept, &q.lost} {
		var err error
		if *server, err = queuetest.New(queuetest.Options{}); err != nil {
			return nil, err
		}
		// A function that dies leaves its batch to the next one soon.
		if err := (*server).EnsureQueue(queueName, map[string]string{"VisibilityTimeout": "5"}); err != nil {
			return nil, err
		}
	}
	var err error
	if q.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	q.url = "http://" + q.listener.Addr().String()
	q.web = &http.Server{Handler: q, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = q.web.Serve(q.listener) }()
	return q, nil
}

// variables tell a stack where the queue is.
func (q *badQueue) variables() []string {
	return []string{"AWS_ENDPOINT_URL_SQS=" + q.url, "COMPENSATION_QUEUE_URL=" + q.url + "/" + queuetest.AccountID + "/" + queueName}
}

func (q *badQueue) close() error { return errors.Join(q.kept.Close(), q.lost.Close(), q.web.Close()) }

// ServeHTTP answers one SQS call.
func (q *badQueue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Target"), "AmazonSQS.SendMessage") {
		q.kept.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	again := func() *http.Request {
		r := r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		return r
	}
	switch drop, repeat := q.roll(); {
	case drop:
		q.lost.ServeHTTP(w, again())
	case repeat:
		q.kept.ServeHTTP(httptest.NewRecorder(), again())
		q.kept.ServeHTTP(w, again())
	default:
		q.kept.ServeHTTP(w, again())
	}
}

func (q *badQueue) roll() (drop, repeat bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.random.IntN(100)
	drop, repeat = n < q.drop, n >= q.drop && n < q.drop+q.repeat
	if drop {
		q.dropped++
	}
	if repeat {
		q.repeated++
	}
	return drop, repeat
}

func (q *badQueue) counts() (dropped, repeated int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped, q.repeated
}
