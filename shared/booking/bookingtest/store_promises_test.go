package bookingtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"testing"

	"stayhold/shared/booking"
)

// named gives the errors that the comments of store.go name.
var named = map[string]error{
	"ErrKeyTaken": booking.ErrKeyTaken, "ErrTokenSpent": booking.ErrTokenSpent, "ErrHoldShort": booking.ErrHoldShort,
	"ErrNothingDue": booking.ErrNothingDue, "ErrDuplicateReservation": booking.ErrDuplicateReservation,
	"ErrAlreadyPurchased": booking.ErrAlreadyPurchased, "ErrHoldLimit": booking.ErrHoldLimit,
	"ErrProductNotFound": booking.ErrProductNotFound, "ErrSoldOut": booking.ErrSoldOut,
	"ErrBookingNotFound": booking.ErrBookingNotFound, "ErrInvalidState": booking.ErrInvalidState,
	"ErrPaymentInProgress": booking.ErrPaymentInProgress, "ErrMethodCombination": booking.ErrMethodCombination,
	"ErrAmountMismatch": booking.ErrAmountMismatch, "ErrInsufficientPoints": booking.ErrInsufficientPoints,
	"ErrHoldExpired": booking.ErrHoldExpired, "ErrPaymentIncomplete": booking.ErrPaymentIncomplete,
	"ErrInvalidRequest": booking.ErrInvalidRequest, "ErrPaymentDeclined": booking.ErrPaymentDeclined,
	"ErrUnavailable": booking.ErrUnavailable, "ErrIdempotencyKeyReused": booking.ErrIdempotencyKeyReused,
	"ErrIdempotencyInProgress": booking.ErrIdempotencyInProgress,
}

var errorName = regexp.MustCompile(`\bErr[A-Z]\w*`)

// promises reads from store.go which errors the comment of each method names; where a
// method has none of its own, its interface's.
func promises(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../store.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	promised := map[string][]string{}
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.TYPE {
			continue
		}
		port, ok := group.Specs[0].(*ast.TypeSpec).Type.(*ast.InterfaceType)
		if !ok {
			continue
		}
		for _, m := range port.Methods.List {
			comment := m.Doc
			if comment == nil {
				comment = group.Doc
			}
			for _, n := range m.Names {
				promised[n.Name] = errorName.FindAllString(comment.Text(), -1)
			}
		}
	}
	if len(promised) == 0 {
		t.Fatal("store.go names no method")
	}
	for method, names := range promised {
		for _, name := range names {
			if named[name] == nil {
				t.Errorf("%s names %s, which the run does not know", method, name)
			}
		}
	}
	return promised
}
