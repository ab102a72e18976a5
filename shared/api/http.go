package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/booking"
)

// pendingAfter is when a caller of an undecided approval should ask again.
const pendingAfter = 2 * time.Second

// respond runs one HTTP invocation around a route's own part: record, time limit,
// panics, errors. It answers whatever happens.
func (e *Edge) respond(ctx context.Context, payload []byte, function, route string, late *booking.Error,
	run func(context.Context, *call, event) (answer, error),
) ([]byte, error) {
	ev := decodeEvent(payload, e.claim)
	c := e.begin(ctx, function, route, ev.requestID)
	limited, cancel := withinTime(ctx)
	defer cancel()
	a, err := guarded(func() (answer, error) { return run(limited, c, ev) })
	if err != nil {
		a = problem(c.fail(err, late), c.requestID)
	}
	c.status = a.status
	c.end(ctx)
	return a.render(), nil
}

// guarded runs a step, and makes an error of a panic.
func guarded[T any](run func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = recovered(p)
		}
	}()
	return run()
}

// request is a POST that has passed every check of its form.
type request struct {
	user    int64
	booking int64 // 0 where the path names none
	key     *booking.IdempotencyKey
}

// decoded is a body: its value in one canonical form, and the step that it asks for.
type decoded struct {
	canonical any
	fault     error // judged only when nothing else is wrong
	run       func(context.Context, request) (booking.Result, error)
}

// decode reads a body into what a step wants, noting what is wrong with it.
type decode func(*faults, *value) decoded

// post is the pipeline of every POST.
func (e *Edge) post(function, template string, read decode) lambda.Handler {
	route := http.MethodPost + " " + template
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.respond(ctx, payload, function, route, booking.ErrCommitResultUnknown,
			func(ctx context.Context, c *call, ev event) (answer, error) {
				r, body, err := e.check(c, ev, template, read)
				if err != nil {
					return answer{}, err
				}
				o := e.once(ctx, r.key, func() (booking.Result, error) { return body.run(ctx, r) })
				return c.conclude(template, o)
			})
	})
}

// check holds a request against its form, in the contract's order: 401, 413, 415, 400
// body, 400 key. Last comes an id in the path that can be nobody's: no key can have
// been used with it.
func (e *Edge) check(c *call, ev event, template string, read decode) (r request, body decoded, err error) {
	if r.user, err = ev.user(); err != nil {
		return r, body, err
	}
	c.userID = r.user
	if body, err = decodeBody(ev, read); err != nil {
		return r, body, err
	}
	key, err := ev.key()
	if err != nil {
		return r, body, err
	}
	path := template
	if strings.Contains(template, "{bookingId}") {
		var ok bool
		if r.booking, ok = ev.pathID(template, "bookingId"); !ok {
			return r, body, booking.ErrBookingNotFound
		}
		c.bookingID = r.booking
		path = strings.Replace(template, "{bookingId}", strconv.FormatInt(r.booking, 10), 1)
	}
	if key != "" {
		r.key = &booking.IdempotencyKey{
			UserID: r.user, Scope: http.MethodPost + " " + path, Key: key, RequestID: c.requestID,
		}
		r.key.Fingerprint, err = fingerprint(body.canonical)
	}
	return r, body, err
}

// decodeBody reads the body; none is an empty object.
func decodeBody(ev event, read decode) (decoded, error) {
	raw, err := ev.body()
	if err != nil {
		return decoded{}, err
	}
	v := &value{kind: isObject}
	if raw != nil {
		if v, err = parse(raw); err != nil {
			return decoded{}, err
		}
	}
	f := &faults{}
	body := read(f, v)
	if err := f.err(); err != nil {
		return decoded{}, err
	}
	return body, body.fault
}

// conclude renders an outcome from nothing but itself.
func (c *call) conclude(template string, o outcome) (answer, error) {
	var a answer
	if id := o.Result.Booking.ID; id != 0 {
		c.bookingID = id
	}
	c.deferred = o.Result.Deferred
	if o.Err != nil {
		id := c.requestID
		if o.replayed && o.RequestID != "" {
			id = o.RequestID
		}
		a = problem(c.fail(o.Err, booking.ErrCommitResultUnknown), id)
	} else {
		var err error
		if a, err = success(template, o.Result); err != nil {
			return a, err
		}
		if o.Result.Pending {
			c.code = pendingCode
		}
	}
	a.replayed = o.replayed
	return a, nil
}

func success(template string, r booking.Result) (answer, error) {
	status := http.StatusOK
	switch {
	case r.Pending:
		status = http.StatusAccepted
	case template == reservePath, template == registerPath && r.Created:
		status = http.StatusCreated
	}
	a, err := jsonAnswer(status, renderBooking(r.Booking))
	if template == reservePath {
		a.location = "/bookings/" + strconv.FormatInt(r.Booking.ID, 10)
	}
	if r.Pending {
		a.retryAfter = pendingAfter
	}
	return a, err
}
