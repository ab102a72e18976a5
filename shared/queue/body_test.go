package queue_test

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/queue"
	"stayhold/shared/servertest"
)

func TestEncodedBodyIsTheContract(t *testing.T) {
	t.Parallel()
	got, err := queue.Encode(booking.Message{Task: booking.TaskCompensate, BookingID: 12})
	if want := `{"version":1,"task":"compensate","bookingId":12}`; err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
}

func TestParseReadsWhatEncodeWrites(t *testing.T) {
	t.Parallel()
	for _, m := range []booking.Message{
		{Task: booking.TaskCompensate, BookingID: 1},
		{Task: booking.TaskResolve, BookingID: math.MaxInt64},
	} {
		body, err := queue.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := queue.Parse(body); err != nil || got != m {
			t.Errorf("%s: %v, %v", body, got, err)
		}
	}
}

func TestParseTakesAnyOrderAndSpace(t *testing.T) {
	t.Parallel()
	got, err := queue.Parse(" {\n\"bookingId\" : 7 ,\t\"task\":\"resolve\",\r\"version\": 1 } ")
	if want := (booking.Message{Task: booking.TaskResolve, BookingID: 7}); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
}

func TestEncodeRefusesWhatParseWould(t *testing.T) {
	t.Parallel()
	for _, m := range []booking.Message{
		{}, {Task: "other", BookingID: 1}, {Task: booking.TaskResolve}, {Task: booking.TaskResolve, BookingID: -1},
	} {
		if body, err := queue.Encode(m); !errors.Is(err, queue.ErrMalformed) {
			t.Errorf("%v: %s, %v", m, body, err)
		}
	}
}

var malformed = map[string]string{
	"empty":               ``,
	"null":                `null`,
	"array":               `[{"version":1,"task":"resolve","bookingId":1}]`,
	"no members":          `{}`,
	"no version":          `{"task":"resolve","bookingId":1}`,
	"no task":             `{"version":1,"bookingId":1}`,
	"no bookingId":        `{"version":1,"task":"resolve"}`,
	"version 2":           `{"version":2,"task":"resolve","bookingId":1}`,
	"version 1.0":         `{"version":1.0,"task":"resolve","bookingId":1}`,
	"version in quotes":   `{"version":"1","task":"resolve","bookingId":1}`,
	"unknown task":        `{"version":1,"task":"refund","bookingId":1}`,
	"task in upper case":  `{"version":1,"task":"Resolve","bookingId":1}`,
	"task a number":       `{"version":1,"task":1,"bookingId":1}`,
	"task null":           `{"version":1,"task":null,"bookingId":1}`,
	"id 0":                `{"version":1,"task":"resolve","bookingId":0}`,
	"id negative":         `{"version":1,"task":"resolve","bookingId":-1}`,
	"id in quotes":        `{"version":1,"task":"resolve","bookingId":"1"}`,
	"id a fraction":       `{"version":1,"task":"resolve","bookingId":1.0}`,
	"id with exponent":    `{"version":1,"task":"resolve","bookingId":1e2}`,
	"id beyond int64":     `{"version":1,"task":"resolve","bookingId":9223372036854775808}`,
	"id null":             `{"version":1,"task":"resolve","bookingId":null}`,
	"id an object":        `{"version":1,"task":"resolve","bookingId":{}}`,
	"id an array":         `{"version":1,"task":"resolve","bookingId":[1]}`,
	"id with leading 0":   `{"version":1,"task":"resolve","bookingId":01}`,
	"id twice":            `{"version":1,"task":"resolve","bookingId":1,"bookingId":2}`,
	"id twice by escape":  `{"version":1,"task":"resolve","bookingId":1,"booking\u0049d":2}`,
	"wrong case":          `{"Version":1,"task":"resolve","bookingId":1}`,
	"wrong case of id":    `{"version":1,"task":"resolve","bookingID":1}`,
	"unknown member":      `{"version":1,"task":"resolve","bookingId":1,"amount":"5"}`,
	"trailing value":      `{"version":1,"task":"resolve","bookingId":1}{}`,
	"trailing bracket":    `{"version":1,"task":"resolve","bookingId":1}]`,
	"trailing comma":      `{"version":1,"task":"resolve","bookingId":1,}`,
	"cut short":           `{"version":1,"task":"resolve","bookingId":1`,
	"byte order mark":     "\ufeff" + `{"version":1,"task":"resolve","bookingId":1}`,
	"NUL":                 `{"version":1,"task":"resolve","bookingId":1}` + "\x00",
	"bad UTF-8":           "{\"version\":1,\"task\":\"resolve\",\"bookingId\":1,\"\xff\":1}",
	"five million digits": `{"version":1,"task":"resolve","bookingId":` + strings.Repeat("1", 5_000_000) + `}`,
	"spaces beyond 16 K":  strings.Repeat(" ", 16<<10) + `{"version":1,"task":"resolve","bookingId":1}`,
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, body := range malformed {
		if m, err := queue.Parse(body); !errors.Is(err, queue.ErrMalformed) || m != (booking.Message{}) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

// Whatever Parse takes is JSON that says the same to the standard decoder, and is what Encode writes, and Parse reads
// again, in one form.
func FuzzParse(f *testing.F) {
	for _, body := range malformed {
		if len(body) < 1000 {
			f.Add(body)
		}
	}
	f.Add(`{"version":1,"task":"compensate","bookingId":12}`)
	for _, name := range []string{"compensate", "compensate-malformed"} {
		text, err := os.ReadFile("../../events/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		var batch struct{ Records []struct{ Body string } }
		if err := json.Unmarshal(text, &batch); err != nil || len(batch.Records) == 0 {
			f.Fatalf("%s is no batch: %v", name, err)
		}
		for _, r := range batch.Records {
			f.Add(r.Body)
		}
	}
	f.Fuzz(func(t *testing.T, body string) {
		servertest.Cost(t, 2*time.Second, func() {
			m, err := queue.Parse(body)
			if err != nil {
				if !errors.Is(err, queue.ErrMalformed) || m != (booking.Message{}) {
					t.Errorf("%v, %v", m, err)
				}
				return
			}
			var plain struct {
				Version   int          `json:"version"`
				Task      booking.Task `json:"task"`
				BookingID int64        `json:"bookingId"`
			}
			if err := json.Unmarshal([]byte(body), &plain); err != nil || plain.Version != 1 || plain.Task != m.Task || plain.BookingID != m.BookingID {
				t.Errorf("%v, and the standard decoder has %v, %v", m, plain, err)
			}
			written, err := queue.Encode(m)
			if again, refused := queue.Parse(written); err != nil || refused != nil || again != m {
				t.Errorf("%v is written as %s (%v), and that is read as %v (%v)", m, written, err, again, refused)
			}
		})
	})
}
