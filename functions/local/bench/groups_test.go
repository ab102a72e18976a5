package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stayhold/functions/local/harness"
)

// What is counted, or measured beside its floor, works on real servers, and tells each of its measures; how fast is no
// matter here.
func TestGroupsOfTheDatabase(t *testing.T) {
	for _, one := range []struct {
		name string
		run  func(context.Context, *bench) error
		want string
	}{
		{"trips", tripsGroup, "b-1a b-1b b-1c b-2a b-2b b-2c b-2d b-2e b-2f b-2g b-2h b-2i b-3a b-3b b-3c b-4a b-4b b-4c b-5a b-5b b-5c b-5d " +
			"b-6a b-6b b-6c b-7a b-7b b-7c b-8a b-8b b-8c b-8d b-8e b-8f"},
		{"complete", completeGroup, "6 6b 6c complete-handler complete-floor 7a complete-7a-handler complete-7a-statements 7b complete-7b-handler complete-7b-statements"},
		{"hot", hotGroup, "8 reserve-hot reserve-spread 9 flush-reserve flush-row-lock"},
		{"pooler", poolerGroup, "10 reserve-pooled reserve-direct"},
		{"scale", scaleGroup, "scale-50 scale-script-50 scale-lock-50 scale-version-50 scale-50-floor scale-500 scale-script-500 scale-lock-500 scale-version-500 scale-500-floor scale-5000 scale-script-5000 scale-5000-floor"},
		{"tail", tailGroup, "tail-calm refused-calm bare-calm stall-calm tail-lapse refused-lapse bare-lapse stall-lapse tail-sweep refused-sweep bare-sweep stall-sweep " +
			"tail-warm refused-warm bare-warm stall-warm tail-aof refused-aof bare-aof stall-aof tail-checkpoint refused-checkpoint bare-checkpoint stall-checkpoint tail-far refused-far bare-far stall-far"},
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
			if one.name == "trips" {
				if err := b.report.verdict(); err != nil { // a count is no time: it is judged here too
					t.Error(err)
				}
			}
			if want := strings.Fields(one.want); !slices.Equal(told, want) {
				t.Errorf("told of %v, not of %v", told, want)
			}
			show(t, &b.report)
		})
	}
}

// executables is a folder with what `make build` builds in its bin.
func executables(t *testing.T) string {
	t.Helper()
	bin, err := harness.Build("../../..", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(bin)
}

// The functions as they are built answer a first request in plain text and over TLS; how soon is no matter here.
func TestFirstGroup(t *testing.T) {
	told := measuredQuickly(t, executables(t), firstGroup)
	for _, name := range []string{"reserve", "approve", "complete"} {
		for _, kind := range []string{"plain", "tls"} {
			id := "first-" + name + "-" + kind
			all, waited := told[id], told[id+"-next"]
			if all.Ratio == nil || waited.Ratio == nil || *waited.Ratio <= 0 || *all.Ratio < *waited.Ratio {
				t.Errorf("%s: %+v, of it %+v", id, all, waited)
			}
		}
	}
}

// Purchases, refusals and storms go through the stack, every function is looked at, and whose processor time it is is told
// of everybody on the way; how fast is no matter here.
func TestFlowGroup(t *testing.T) {
	told := measuredQuickly(t, executables(t), flowGroup)
	for _, id := range []string{"idle-memory", "storm-ready", "storm-cold", "storm-warm", "flow-1", "flow-1-p99", "flow-8", "flow-8-p99", "flow-32", "flow-32-p99",
		"flow-64", "flow-64-p99", "least-requests", "least-commits", "refused-64", "idle-memory-after"} {
		if m, ok := told[id]; !ok || m.Ratio == nil || *m.Ratio <= 0 {
			t.Errorf("%s: %+v", id, m)
		}
	}
	for _, name := range strings.Fields("reserve register approve complete cancel query compensate sweep admin migrate") {
		if m, ok := told["12b-"+name]; !ok || *m.Ratio <= 0 {
			t.Errorf("the memory of %s: %+v", name, m)
		}
	}
	for _, step := range stepOrder {
		if took := told["flow-64"].Figures.StepMillis; took[step] <= 0 {
			t.Errorf("time of %s: %v", step, took)
		}
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return // the system does not tell
	}
	spent := map[string]float64{}
	for _, one := range flows {
		for who, ms := range told[fmt.Sprintf("flow-%d", one.buyers)].Figures.CPUMillis {
			spent[who] += ms
		}
	}
	for _, who := range strings.Fields("buyers front functions simulator postgres redis") {
		if spent[who] <= 0 {
			t.Errorf("processor time of %s: %v", who, spent)
		}
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
