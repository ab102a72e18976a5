package api

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stayhold/shared/booking"
)

// Every amount that can be written is read, summed and shown to the last cent, in each of its spellings.
func TestAmountsAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.SliceOfN(rapid.Int64Range(1, 999_999_999_999_999), 1, 8).Draw(t, "cents")
		var list []string
		exact := new(big.Int)
		for _, n := range cents {
			exact.Add(exact, big.NewInt(n))
			text := fmt.Sprintf("%d.%02d", n/100, n%100)
			if rapid.Bool().Draw(t, "short") {
				text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
			}
			if rapid.Bool().Draw(t, "quoted") {
				text = `"` + text + `"`
			}
			list = append(list, text)
		}
		v, err := parse([]byte("[" + strings.Join(list, ",") + "]"))
		if err != nil {
			t.Fatal(err)
		}
		var set booking.Set
		for i, item := range v.items {
			faults := &faults{}
			object := &value{kind: isObject, names: []string{"amount"}, items: []*value{item}}
			got := faults.open(object, "amount").amount("amount", false)
			if err := faults.err(); err != nil {
				t.Fatalf("%s: %v", list[i], err)
			}
			if want := fmt.Sprintf("%d.%02d", cents[i]/100, cents[i]%100); money(got) != want {
				t.Fatalf("%s is shown as %s, want %s", list[i], money(got), want)
			}
			set = append(set, booking.Part{Amount: got})
		}
		if sum := new(big.Rat).SetFrac(exact, big.NewInt(100)); set.Sum().Rat().Cmp(sum) != 0 {
			t.Fatalf("the sum of %v is %v, want %v", list, set.Sum(), sum)
		}
	})
}
