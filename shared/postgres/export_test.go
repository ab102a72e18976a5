package postgres

import "fmt"

// Statement is SQL with its arguments, as the audit sends it.
type Statement struct {
	SQL  string
	Args []any
}

// ProductStatements are all that one product's audit sends, the bookings' ids being
// one page of it.
func ProductStatements(productID int64, ids []int64) map[string]Statement {
	all := map[string]Statement{
		"page of bookings": {productBookingsSQL, []any{0, auditPage, productID}},
		"open places":      {openPlacesSQL, []any{productID, 0, 500}},
		"places of users":  {placesOfSQL, []any{productID, ids}},
		"sold orders":      {soldOrdersSQL, []any{ids}},
		"accounts":         {accountsSQL, []any{[]string{"sh-1", "sh-2"}}},
	}
	for i, one := range ofProducts {
		all[fmt.Sprintf("%s of products, %d", one.name, i)] = Statement{one.sql + ` LIMIT $2`, []any{[]int64{productID}, breachLimit}}
	}
	for i, one := range ofBookings {
		all[fmt.Sprintf("%s of bookings, %d", one.name, i)] = Statement{one.sql + ` LIMIT $2`, []any{ids, breachLimit}}
	}
	return all
}
