package booking

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/shopspring/decimal"
)

// auditLedger holds the gateway's ledger against the payments, in both directions. The
// first look keeps 8 bytes of each charge and makes out what is suspicious; the second
// judges only that, between two readings of the database, so that nothing under way is
// taken for lost.
func (a Admin) auditLedger(ctx context.Context, productID int64) ([]Breach, error) {
	suspects, err := a.suspects(ctx, productID)
	if err != nil || len(suspects) == 0 {
		return nil, err
	}
	before, err := a.accounts(ctx, suspects)
	if err != nil {
		return nil, err
	}
	charged := map[string][]LedgerCharge{}
	err = a.Ledger.Charges(ctx, func(page []LedgerCharge) error {
		for _, c := range page {
			if slices.Contains(suspects, c.OrderID) {
				charged[c.OrderID] = append(charged[c.OrderID], c)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	after, err := a.accounts(ctx, suspects)
	if err != nil {
		return nil, err
	}
	var breaches []Breach
	for _, order := range suspects {
		was, is := before[order], after[order]
		if was.Settled != is.Settled || !was.Kept.Equal(is.Kept) {
			continue // somebody has just acted
		}
		if detail := judgeOrder(order, is, charged[order]); detail != "" {
			b := Breach{Invariant: "I5", Detail: detail}
			if is.BookingID != 0 {
				b.BookingIDs = []int64{is.BookingID}
			}
			breaches = append(breaches, b)
		}
	}
	return breaches, nil
}

// suspects are orders that the first look cannot make agree, of this product or (0) of
// all; no more than the audit reports.
func (a Admin) suspects(ctx context.Context, productID int64) ([]string, error) {
	seed := maphash.MakeSeed()
	seen := map[uint64]struct{}{}
	var found []string
	suspect := func(order string) {
		if len(found) < auditLimit && !slices.Contains(found, order) {
			found = append(found, order)
		}
	}
	err := a.Ledger.Charges(ctx, func(page []LedgerCharge) error {
		orders := make([]string, len(page))
		for i, c := range page {
			orders[i] = c.OrderID
		}
		accounts, err := a.accounts(ctx, orders)
		if err != nil {
			return err
		}
		for _, c := range page {
			sum := maphash.String(seed, c.OrderID)
			_, twice := seen[sum]
			seen[sum] = struct{}{}
			account, known := accounts[c.OrderID]
			// An order that nobody knows belongs to no product.
			if known && productID != 0 && account.ProductID != productID || !known && productID != 0 {
				continue
			}
			if twice || judgeOrder(c.OrderID, account, []LedgerCharge{c}) != "" {
				suspect(c.OrderID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for after := int64(0); ; {
		sold, next, err := a.Store.SoldOrders(ctx, productID, after)
		if err != nil || next == 0 {
			return found, err
		}
		for _, order := range sold {
			if _, charged := seen[maphash.String(seed, order)]; !charged {
				suspect(order)
			}
		}
		after = next
	}
}

// accounts reads payments by order. An order that none bears is not in the map, and
// its zero account is unsettled.
func (a Admin) accounts(ctx context.Context, orders []string) (map[string]Account, error) {
	list, err := a.Store.AccountsOf(ctx, orders)
	byOrder := make(map[string]Account, len(list))
	for _, one := range list {
		byOrder[one.OrderID] = one
	}
	return byOrder, err
}

// judgeOrder says what is wrong with an order and what to do, or nothing.
func judgeOrder(order string, account Account, charges []LedgerCharge) string {
	kept := decimal.Zero
	for _, c := range charges {
		if !c.Cancelled {
			kept = kept.Add(c.Amount)
		}
	}
	switch {
	case len(charges) > 1:
		return fmt.Sprintf("the gateway has charged order %s %d times and keeps %s; give back there all but one", order, len(charges), kept)
	case account.OrderID == "" && kept.IsZero():
		return ""
	case account.OrderID == "":
		return fmt.Sprintf("the gateway keeps %s of order %s, which no payment bears; give it back there", kept, order)
	case !account.Settled || kept.Equal(account.Kept):
		return ""
	case kept.GreaterThan(account.Kept):
		return fmt.Sprintf("the gateway keeps %s of order %s, of which booking %d is owed %s; give the difference back there", kept, order, account.BookingID, account.Kept)
	default:
		return fmt.Sprintf("booking %d is sold for %s by order %s, of which the gateway keeps %s; cancel the booking, or ask the buyer to pay", account.BookingID, account.Kept, order, kept)
	}
}
