package paymentgateway

import (
	"errors"
	"fmt"
	"net/http"

	"stayhold/shared/booking"
)

// The statuses of a Payment object. Source: the reference, Payment object, status.
const (
	statusReady           = "READY"
	statusInProgress      = "IN_PROGRESS"
	statusDone            = "DONE"
	statusCanceled        = "CANCELED"
	statusPartialCanceled = "PARTIAL_CANCELED"
	statusWaiting         = "WAITING_FOR_DEPOSIT"
	statusAborted         = "ABORTED"
	statusExpired         = "EXPIRED"
)

// confirmed judges the answer to a confirm.
func confirmed(ch booking.Charge, got reply) booking.Answer {
	if got.status == http.StatusOK {
		p, err := parsePayment(got.body)
		switch {
		case err != nil:
			return unknown(fmt.Errorf("confirm: %w", err))
		case p.status != statusDone:
			return unknown(fmt.Errorf("confirm: answered 200 with status %s", p.status))
		case !p.matches(ch):
			return unknown(errors.New("confirm: charged, but order, key or amount differs from what was asked"))
		}
		return booking.Answer{Verdict: booking.VerdictApproved, Reference: p.reference, Amount: p.amount}
	}
	word := code(got.body)
	err := said("confirm", got.status, word)
	switch {
	case !decided(got.status):
		return unknown(err)
	case declines(word):
		return booking.Answer{Verdict: booking.VerdictDeclined, DeclineCode: word, Cause: err}
	case blamesUs(got.status, word):
		return refused(err)
	}
	return unknown(err)
}

// lookedUp judges the answer to a look-up. Nothing here blames our configuration: a
// look-up that is turned away proves nothing about the order.
func lookedUp(ch booking.Charge, got reply) booking.Answer {
	if got.status != http.StatusOK {
		word := code(got.body)
		err := said("look-up", got.status, word)
		// Without one of these codes a 404 may be a proxy's, or a wrong base URL.
		if got.status == http.StatusNotFound && (word == codeNotFoundPayment || word == codeNotFound) {
			return booking.Answer{Verdict: booking.VerdictNotFound, Cause: err}
		}
		return unknown(err)
	}
	p, err := parsePayment(got.body)
	if err != nil {
		return unknown(fmt.Errorf("look-up: %w", err))
	}
	a := booking.Answer{Reference: p.reference, Cause: fmt.Errorf("look-up: status %s", p.status)}
	switch p.status {
	case statusDone, statusPartialCanceled, statusWaiting:
		return taken(ch, p, a)
	case statusReady, statusInProgress:
		if p.orderID != "" && p.orderID != ch.OrderID {
			return unknown(errors.New("look-up: answered with another order"))
		}
		a.Verdict = booking.VerdictInProgress
		return a
	case statusCanceled, statusAborted, statusExpired:
		// An order may have been tried in two payment windows: the end of one of them
		// is not the end of the one that was confirmed.
		if p.foreign(ch) {
			return unknown(fmt.Errorf("look-up: status %s of another order or key", p.status))
		}
		a.Verdict = booking.VerdictReturned
		if p.status != statusCanceled {
			a.Verdict, a.DeclineCode = booking.VerdictDeclined, p.status
		}
		return a
	}
	return unknown(fmt.Errorf("look-up: unlisted status %s", p.status))
}

// taken judges a look-up that shows money taken, or about to be.
func taken(ch booking.Charge, p payment, a booking.Answer) booking.Answer {
	same := p.matches(ch)
	switch {
	case !p.whole():
		return unknown(fmt.Errorf("look-up: status %s without order, key or amount", p.status))
	case same && p.status == statusDone:
		return booking.Answer{Verdict: booking.VerdictApproved, Reference: p.reference, Amount: p.amount}
	case same && p.status == statusWaiting:
		return unknown(a.Cause)
	}
	a.Verdict, a.Amount = booking.VerdictMismatched, p.amount
	return a
}

// cancelled judges the answer to a cancel.
func cancelled(ch booking.Charge, got reply) booking.Answer {
	if got.status == http.StatusOK {
		p, err := parsePayment(got.body)
		switch {
		case err != nil:
			return unknown(fmt.Errorf("cancel: %w", err))
		case p.status != statusCanceled:
			return unknown(fmt.Errorf("cancel: answered 200 with status %s", p.status))
		case p.foreign(ch):
			return unknown(errors.New("cancel: answered with another order or key"))
		}
		return booking.Answer{Verdict: booking.VerdictReturned, Reference: p.reference}
	}
	word := code(got.body)
	err := said("cancel", got.status, word)
	switch {
	case !decided(got.status):
		return unknown(err)
	case word == codeAlreadyCanceled:
		return booking.Answer{Verdict: booking.VerdictReturned, Cause: err}
	case blamesUs(got.status, word):
		return refused(err)
	}
	return unknown(err)
}

// decided says that a status is a refusal at all: a 4xx that does not mean "later",
// "in the meantime" or "too slow".
func decided(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// blamesUs says that the gateway turned our configuration away. The code decides
// first: the gateway sends 403 for rejected cards and for "try later" too.
func blamesUs(status int, word string) bool {
	if ourFault[word] {
		return true
	}
	return !undecided[word] && (status == http.StatusUnauthorized || status == http.StatusForbidden)
}

func said(call string, status int, word string) error {
	if word == "" {
		word = "no code"
	}
	return fmt.Errorf("%s: gateway answered %d (%s)", call, status, word)
}

func unknown(err error) booking.Answer {
	return booking.Answer{Verdict: booking.VerdictUnknown, Cause: err}
}

func refused(err error) booking.Answer {
	return booking.Answer{Verdict: booking.VerdictRefused, Cause: err}
}
