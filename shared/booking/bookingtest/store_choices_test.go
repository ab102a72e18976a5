package bookingtest_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// This file chooses what needs no hold: what operators, the sweep and readers ask.

func (c *chooser) recall() operation {
	k := booking.IdempotencyKey{UserID: c.user(), Scope: "open", Key: "never"}
	if len(c.keys) > 0 && c.chance(95) {
		k = c.keys[max(0, len(c.keys)-1-c.IntN(6))]
		for _, late := range slices.Backward(c.keys) {
			if late.Scope == "approve" && c.chance(50) {
				k = late // the only scope whose keys are claimed
				break
			}
		}
		k.Fingerprint = among(c, k.Fingerprint, k.Fingerprint, "other")
	}
	return operation{"Recall", fmt.Sprintf("user %d %s %s", k.UserID, k.Scope, describe(&k)), func(s *party) reply {
		recalled, err := s.Recall(context.Background(), k)
		return reply{value: recalled, err: err}
	}}
}

func (c *chooser) putProduct() operation {
	d := booking.ProductDraft{ID: c.product(), Name: "Room", Price: amount(among(c, "100", "120.50", "100", "0.001", "1e13")),
		Status: among(c, "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "ACTIVE", "INACTIVE", "SOLD_OUT")}
	if d.ID == 999 {
		d.Price = amount("100")
	}
	checkIn := among(c, 185*time.Minute, 30*24*time.Hour+5*time.Minute, 30*24*time.Hour+5*time.Minute, -5*time.Minute)
	stock := int64(c.IntN(3))
	if len(c.products) < 4 && c.chance(15) {
		d.ID, d.Stock = 0, &stock
	}
	return c.draft(d, checkIn)
}

func (c *chooser) draft(d booking.ProductDraft, checkIn time.Duration) operation {
	return operation{"PutProduct", fmt.Sprintf("product %d price %s check-in in %s %s", d.ID, d.Price, checkIn, d.Status), func(s *party) reply {
		d.SaleStartAt, d.CheckInAt, d.CheckOutAt = s.in(-61*time.Minute), s.in(checkIn), s.in(checkIn+21*time.Hour)
		id, err := s.PutProduct(context.Background(), d)
		if s == c.pair.fake && err == nil && !slices.Contains(c.products, id) {
			c.products = append(c.products, id)
		}
		return reply{value: id, err: err}
	}}
}

func (c *chooser) adjustStock() operation {
	return c.adjust(c.product(), among(c, int64(-9), -2, -1, -1, 0, 1, 1, 2, 2147483647))
}

func (c *chooser) adjust(product, delta int64) operation {
	return operation{"AdjustStock", fmt.Sprintf("product %d by %d", product, delta), func(s *party) reply {
		stock, err := s.AdjustStock(context.Background(), product, delta, "counted again")
		return reply{value: stock, err: err}
	}}
}

func (c *chooser) grantPoints() operation {
	user, points := c.user(), amount(among(c, "60", "35.25", "100", "-40", "-40", "-95", "-0.001", "1e14"))
	if c.chance(3) {
		user = -1
	}
	return c.grant(user, points)
}

func (c *chooser) grant(user int64, points decimal.Decimal) operation {
	return operation{"GrantPoints", fmt.Sprintf("user %d %s", user, points), func(s *party) reply {
		balance, err := s.GrantPoints(context.Background(), user, points, "gift")
		return reply{value: balance, err: err}
	}}
}

func (c *chooser) redrive() operation {
	id := among(c, 0, c.booking().id)
	return operation{"Redrive", fmt.Sprintf("booking %d", id), func(s *party) reply {
		ids, err := s.Redrive(context.Background(), id)
		return reply{value: ids, err: err}
	}}
}

func (c *chooser) markSent() operation {
	ids := []int64{int64(1 + c.IntN(8)), int64(1 + c.IntN(8))}
	return operation{"MarkSent", fmt.Sprint(ids), func(s *party) reply {
		return reply{err: s.MarkSent(context.Background(), ids...)}
	}}
}

func (c *chooser) purge() operation {
	return operation{"Purge", "", func(s *party) reply {
		n, err := s.Purge(context.Background(), 1000)
		return reply{value: n, err: err}
	}}
}

// read chooses among what changes nothing.
func (c *chooser) read() operation {
	ctx := context.Background()
	b, user, product, limit, cursor := c.booking(), c.user(), c.product(), 1+c.IntN(5), int64(c.IntN(4))
	age, grace := among(c, 0, 5*time.Minute), among(c, 0, 3*time.Minute)
	status := among(c, "", booking.Init, booking.Confirmed, booking.Failed)
	users := among(c, nil, []int64{}, []int64{1}, []int64{2, 3})
	r := among(c, readers...)
	return operation{r.method, fmt.Sprintf("booking %d user %d product %d", b.id, user, product), func(s *party) reply {
		value, err := r.read(ctx, s, question{
			booking: b.id, asker: user, product: product, limit: limit, cursor: cursor, age: age, grace: grace, status: status, users: users,
		})
		return reply{value: value, err: err}
	}}
}

// question is what the readers are asked, each as far as it needs it.
type question struct {
	booking, asker, product, cursor int64
	limit                           int
	age, grace                      time.Duration
	status                          booking.Status
	users                           []int64
}

var readers = []struct {
	method string
	read   func(context.Context, booking.Store, question) (any, error)
}{
	{"Dead", func(ctx context.Context, s booking.Store, q question) (any, error) { return s.Dead(ctx, q.booking) }},
	{"Unsent", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.Unsent(ctx, q.age, q.limit)
	}},
	{"ProductFacts", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.ProductFacts(ctx, q.product)
	}},
	{"GatePlaces", func(ctx context.Context, s booking.Store, q question) (any, error) {
		facts, places, err := s.GatePlaces(ctx, q.product)
		return []any{facts, inOrder(places)}, err
	}},
	{"PlacesOf", func(ctx context.Context, s booking.Store, q question) (any, error) {
		places, err := s.PlacesOf(ctx, q.product, q.users)
		return inOrder(places), err
	}},
	{"OpenPlaces", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.OpenPlaces(ctx, q.product, q.cursor, q.limit)
	}},
	{"SoldOrders", func(ctx context.Context, s booking.Store, q question) (any, error) {
		orders, next, err := s.SoldOrders(ctx, q.product, q.cursor)
		return []any{len(orders), next}, err // in any order
	}},
	{"AccountsOf", func(ctx context.Context, s booking.Store, q question) (any, error) {
		list, err := s.BookingsOf(ctx, q.asker, "", booking.Page{Limit: 100})
		orders := []string{"sh-00000000000000000000000000000000"}
		for _, b := range list {
			for _, p := range b.Payments {
				orders = append(orders, p.OrderID)
			}
		}
		if err != nil {
			return nil, err
		}
		accounts, err := s.AccountsOf(ctx, orders)
		slices.SortFunc(accounts, func(a, b booking.Account) int {
			return cmp.Compare(slices.Index(orders, a.OrderID), slices.Index(orders, b.OrderID))
		})
		return accounts, err
	}},
	{"OnSale", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.OnSale(ctx, q.cursor, q.limit)
	}},
	{"LapsedBookings", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.LapsedBookings(ctx, q.grace, q.limit)
	}},
	{"DueApprovals", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.DueApprovals(ctx, q.limit)
	}},
	{"DueRefunds", func(ctx context.Context, s booking.Store, q question) (any, error) { return s.DueRefunds(ctx, q.limit) }},
	{"Booking", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.Booking(ctx, q.asker, q.booking)
	}},
	{"Booking", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.Booking(ctx, 0, q.booking)
	}},
	{"BookingsOf", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.BookingsOf(ctx, q.asker, q.status, booking.Page{Limit: q.limit, Cursor: q.cursor})
	}},
	{"Product", func(ctx context.Context, s booking.Store, q question) (any, error) { return s.Product(ctx, q.product) }},
	{"Products", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.Products(ctx, booking.Page{Limit: q.limit, Cursor: q.cursor})
	}},
	{"FreeUnits", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.FreeUnits(ctx, []int64{2, q.product, 999, 1})
	}},
	{"Checkout", func(ctx context.Context, s booking.Store, q question) (any, error) {
		return s.Checkout(ctx, q.asker, q.product)
	}},
	{"Points", func(ctx context.Context, s booking.Store, q question) (any, error) { return s.Points(ctx, q.asker) }},
	{"Ping", func(ctx context.Context, s booking.Store, q question) (any, error) { return nil, s.Ping(ctx) }},
	{"Explain", func(ctx context.Context, s booking.Store, q question) (any, error) { return s.Explain(ctx, q.booking) }},
	{"Breaches", func(ctx context.Context, s booking.Store, q question) (any, error) {
		// What a line for a person says of it may differ.
		breaches, err := s.Breaches(ctx, q.product%3)
		named := map[string]bool{}
		for _, b := range breaches {
			named[fmt.Sprint(b.Invariant, b.BookingIDs)] = true
		}
		return slices.Sorted(maps.Keys(named)), err
	}},
}

// inOrder sorts what is read in any order.
func inOrder(places []booking.Place) []booking.Place {
	slices.SortFunc(places, func(a, b booking.Place) int { return cmp.Compare(a.BookingID, b.BookingID) })
	return places
}
