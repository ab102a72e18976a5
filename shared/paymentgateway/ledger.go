package paymentgateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

var _ booking.Ledger = (*Client)(nil)

const (
	// ledgerPage is how many charges are handed over at once.
	ledgerPage = 500
	// ledgerRation is how many bytes may come until a page is full: a charge has less
	// than 1 KiB, and a text without end would fill the memory.
	ledgerRation = ledgerPage << 10
)

// Charges reads GET /ledger of each gateway, which a simulator answers and a real
// gateway does not, and hands the charges over while it reads: no more than a page of
// them is kept. The secret is not sent. ErrNoLedger: a gateway answered anything but a
// whole ledger.
func (c *Client) Charges(ctx context.Context, receive func([]booking.LedgerCharge) error) error {
	bases := []string{c.card.base}
	if c.ypay.base != c.card.base {
		bases = append(bases, c.ypay.base)
	}
	for _, base := range bases {
		if err := c.charges(ctx, base, receive); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) charges(ctx context.Context, base string, receive func([]booking.LedgerCharge) error) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(base, "/")+"/ledger", nil)
	if err != nil {
		return fmt.Errorf("%w: the gateway's URL is malformed", booking.ErrNoLedger)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", booking.ErrNoLedger, cause(err))
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end, or nobody believes it
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: answer %d", booking.ErrNoLedger, resp.StatusCode)
	}
	body := &ration{from: resp.Body, left: ledgerRation}
	return readLedger(json.NewDecoder(body), func(page []booking.LedgerCharge) error {
		body.left = ledgerRation
		return receive(page)
	})
}

// ration ends what it reads from when nothing is left of it.
type ration struct {
	from io.Reader
	left int
}

func (r *ration) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, errLedgerForm
	}
	n, err := r.from.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// errLedgerForm tells an answer that is no ledger from a receiver's own error.
var errLedgerForm = fmt.Errorf("%w: the answer has not its form", booking.ErrNoLedger)

// readLedger walks through {"charges":[…],"net":"…"}, and takes nothing else.
func readLedger(d *json.Decoder, receive func([]booking.LedgerCharge) error) error {
	for _, want := range []json.Token{json.Delim('{'), "charges", json.Delim('[')} {
		if got, err := d.Token(); err != nil || got != want {
			return errLedgerForm
		}
	}
	for d.More() {
		page, err := ledgerCharges(d)
		if err != nil {
			return err
		}
		if err := receive(page); err != nil {
			return err
		}
	}
	if got, err := d.Token(); err != nil || got != json.Delim(']') {
		return errLedgerForm
	}
	if got, err := d.Token(); err != nil || got != "net" {
		return errLedgerForm
	}
	if got, err := d.Token(); err != nil || !isLedgerAmount(got) {
		return errLedgerForm
	}
	if got, err := d.Token(); err != nil || got != json.Delim('}') {
		return errLedgerForm
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errLedgerForm
	}
	return nil
}

func isLedgerAmount(token json.Token) bool {
	text, ok := token.(string)
	return ok && ledgerAmount(text)
}

// ledgerAmount says that a ledger writes money so: 0.00, 12.50.
func ledgerAmount(text string) bool {
	whole, cents, _ := strings.Cut(text, ".")
	return formed(whole, digits, maxDigits) && (whole == "0" || whole[0] != '0') && len(cents) == 2 && formed(cents, digits, 2)
}

// ledgerCharges reads one page.
func ledgerCharges(d *json.Decoder) ([]booking.LedgerCharge, error) {
	var page []booking.LedgerCharge
	for len(page) < ledgerPage && d.More() {
		var one struct {
			OrderID   string `json:"orderId"`
			Amount    string `json:"amount"`
			Cancelled bool   `json:"cancelled"`
		}
		if d.Decode(&one) != nil || one.OrderID == "" || !ledgerAmount(one.Amount) {
			return nil, errLedgerForm
		}
		taken, err := decimal.NewFromString(one.Amount)
		if err != nil {
			return nil, errLedgerForm
		}
		page = append(page, booking.LedgerCharge{OrderID: one.OrderID, Amount: taken, Cancelled: one.Cancelled})
	}
	return page, nil
}
