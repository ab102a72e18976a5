package bookingtest

// Tables are the rows themselves, for tests that break what the methods keep.
type Tables struct {
	Products []*ProductRow
	Bookings []*BookingRow
	Payments []*PaymentRow
	Balances []*BalanceRow
}

// Tables gives the rows themselves.
func (d *Database) Tables() Tables {
	return Tables{Products: d.products, Bookings: d.bookings, Payments: d.payments, Balances: d.balances}
}
