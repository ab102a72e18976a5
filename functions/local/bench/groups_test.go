package main

import (
	"context"
	"slices"
	"strings"
	"testing"
)

// What is measured beside its floor works on real servers, and tells each of its measures; how fast is no matter here.
func TestGroupsOfTheDatabase(t *testing.T) {
	for _, one := range []struct {
		name string
		run  func(context.Context, *bench) error
		want string
	}{
		{"complete", completeGroup, "6 6b 6c complete-handler complete-floor 7a complete-7a-handler complete-7a-statements 7b complete-7b-handler complete-7b-statements"},
		{"hot", hotGroup, "8 reserve-hot reserve-spread 9 flush-reserve flush-row-lock"},
		{"pooler", poolerGroup, "10 reserve-pooled reserve-direct"},
		{"scale", scaleGroup, "scale-50 scale-script-50 scale-lock-50 scale-version-50 scale-50-floor scale-500 scale-script-500 scale-lock-500 scale-version-500 scale-500-floor scale-5000 scale-script-5000 scale-5000-floor"},
		{"growth", growthGroup, toldByGrowth()},
	} {
		t.Run(one.name, func(t *testing.T) {
			var out strings.Builder
			b := &bench{config: config{root: "../../..", rounds: 1, quick: true, out: &out}, work: t.TempDir()}
			err := one.run(t.Context(), b)
			skipWithoutServers(t, err)
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			var told []string
			for _, m := range b.report.measures {
				told = append(told, m.ID)
				if (m.Ratio == nil || *m.Ratio < 0) && (m.Figures == nil || m.Figures.PerSecond <= 0) {
					t.Errorf("%s: %+v", m.ID, m)
				}
			}
			if want := strings.Fields(one.want); !slices.Equal(told, want) {
				t.Errorf("told of %v, not of %v", told, want)
			}
		})
	}
}

func toldByGrowth() string {
	var ids []string
	for _, size := range []string{"-1000", "-20000"} {
		if size == "-20000" {
			ids = append(ids, strings.Fields("size-tables-20000 size-indexes-20000 size-booking-20000 size-pkey-20000 size-hold_token_once-20000 size-one_open-20000 "+
				"size-by_user-20000 size-live_by_deadline-20000 size-by_product-20000 size-open_in_order-20000 growth-insert growth-purge-keys growth-purge-outbox")...)
		}
		for _, path := range paths {
			switch {
			case path.grows:
			case size == "-20000":
				ids = append(ids, "growth-"+path.name+size, "growth-"+path.name)
			default:
				ids = append(ids, "growth-"+path.name+size)
			}
		}
	}
	return strings.Join(ids, " ")
}
