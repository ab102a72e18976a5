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
		{"tail", tailGroup, "tail-calm refused-calm bare-calm stall-calm tail-lapse refused-lapse bare-lapse stall-lapse tail-sweep refused-sweep bare-sweep stall-sweep " +
			"tail-warm refused-warm bare-warm stall-warm tail-aof refused-aof bare-aof stall-aof tail-checkpoint refused-checkpoint bare-checkpoint stall-checkpoint tail-far refused-far bare-far stall-far"},
		{"growth", growthGroup, "growth-reserve-1000 growth-booking-1000 growth-bookings-1000 growth-checkout-1000 growth-sweep-1000 " +
			"growth-reserve-5000 growth-reserve growth-booking-5000 growth-booking growth-bookings-5000 growth-bookings growth-checkout-5000 growth-checkout growth-sweep-5000 growth-sweep"},
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
