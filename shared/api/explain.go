package api

import (
	"encoding/json"

	"stayhold/shared/booking"
)

type (
	breachJSON struct {
		Invariant  string  `json:"invariant"`
		Detail     string  `json:"detail"`
		BookingIDs []int64 `json:"bookingIds"`
	}
	storyJSON struct {
		Booking        json.RawMessage `json:"booking"`
		CheckInAt      *string         `json:"checkInAt"`
		HoldDeadline   *string         `json:"holdDeadline"` // the recorded one, of an ended booking too
		Attempts       any             `json:"attempts"`
		Outbox         any             `json:"outbox"`
		Gate           *gateJSON       `json:"gate"` // null when the gate did not answer
		NextSafeAction string          `json:"nextSafeAction"`
	}
	gateJSON struct {
		Cold      bool       `json:"cold"`
		Stock     int64      `json:"stock"`
		Available int64      `json:"available"`
		Held      int64      `json:"held"`
		Confirmed int64      `json:"confirmed"`
		Place     *placeJSON `json:"place"` // the user's, null when it is empty
	}
	placeJSON struct {
		State    string  `json:"state"` // HELD or CONFIRMED
		Mine     bool    `json:"mine"`  // under this booking's own token
		Deadline *string `json:"deadline"`
	}
)

// renderExplanation is everything that is known of a booking, but the hold's token.
func (c *call) renderExplanation(s booking.BookingStory) storyJSON {
	out := storyJSON{
		Booking: renderStory(s.Booking), CheckInAt: instant(s.Booking.CheckInAt),
		HoldDeadline: instant(s.Booking.HoldExpiresAt),
		Attempts:     rows(s.Attempts), Outbox: rows(s.Outbox), NextSafeAction: s.SafeToDo,
	}
	if s.GateFault != nil {
		c.inner = s.GateFault
		return out
	}
	out.Gate = &gateJSON{
		Cold: s.Gate.Cold, Stock: s.Gate.Facts.Stock, Available: s.Gate.Available,
		Held: s.Gate.Held, Confirmed: s.Gate.Confirmed,
	}
	if s.Place != nil {
		out.Gate.Place = &placeJSON{State: "HELD", Mine: s.Place.Token == s.Booking.HoldToken, Deadline: instant(s.Place.Deadline)}
		if s.Place.Confirmed {
			out.Gate.Place.State, out.Gate.Place.Deadline = "CONFIRMED", nil
		}
	}
	return out
}

func rows(list []map[string]any) []any {
	out := make([]any, len(list))
	for i, row := range list {
		out[i] = plain(row)
	}
	return out
}
