package main

import (
	"slices"
	"time"
)

// sample is what one leg did in one round.
type sample struct {
	took      time.Duration
	latencies []time.Duration // of each call, shortest first
	ownCPU    time.Duration   // of this process
	cpu       time.Duration   // of this process and its servers; 0 where the system does not tell
}

// perSecond is the throughput in calls per second.
func (s sample) perSecond() float64 {
	if s.took <= 0 {
		return 0
	}
	return float64(len(s.latencies)) / s.took.Seconds()
}

// millis is a quantile of the latencies in milliseconds, by the nearest rank.
func (s sample) millis(quantile float64) float64 {
	if len(s.latencies) == 0 {
		return 0
	}
	rank := int(quantile*float64(len(s.latencies))+0.999999) - 1
	return inMillis(s.latencies[min(max(rank, 0), len(s.latencies)-1)])
}

// each is a total divided by the calls, in milliseconds.
func (s sample) each(total time.Duration) float64 {
	if len(s.latencies) == 0 {
		return 0
	}
	return inMillis(total) / float64(len(s.latencies))
}

// together is one sample of all rounds.
func together(all []sample) sample {
	var sum sample
	for _, s := range all {
		sum.took += s.took
		sum.ownCPU += s.ownCPU
		sum.cpu += s.cpu
		sum.latencies = append(sum.latencies, s.latencies...)
	}
	slices.Sort(sum.latencies)
	return sum
}

func inMillis(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

// spread is what several rounds say of one number.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Sorted(slices.Values(values))
	half := len(v) / 2
	s := spread{median: v[half], min: v[0], max: v[len(v)-1]}
	if len(v)%2 == 0 {
		s.median = (v[half-1] + v[half]) / 2
	}
	return s
}

// over is what the samples of several rounds say of one number.
func over(all []sample, of func(sample) float64) spread {
	var values []float64
	for _, s := range all {
		values = append(values, of(s))
	}
	return spreadOf(values)
}
