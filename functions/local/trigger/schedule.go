package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"stayhold/functions/local/sandbox"
)

// Schedule calls a function again and again, the first time after one interval, with Input or, where that is empty, an
// event as EventBridge Scheduler makes it. Done hears of every call.
type Schedule struct {
	Name    string
	Every   time.Duration
	Input   string
	Invoker Invoker
	Done    func(result sandbox.Result, err error)
}

// scheduled is the event that EventBridge Scheduler sends when a schedule has no input of its own.
type scheduled struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     string   `json:"detail"`
}

// Run calls until ctx ends. A call that takes longer than the interval puts the next one off.
func (s *Schedule) Run(ctx context.Context) {
	ticker := time.NewTicker(s.Every)
	defer ticker.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			payload := []byte(s.Input)
			if s.Input == "" {
				var err error
				if payload, err = json.Marshal(s.event(n, now)); err != nil {
					s.Done(sandbox.Result{}, err)
					continue
				}
			}
			result, err := s.Invoker.Invoke(ctx, payload)
			if ctx.Err() == nil {
				s.Done(result, err)
			}
		}
	}
}

func (s *Schedule) event(n int, now time.Time) scheduled {
	return scheduled{
		Version: "0", ID: fmt.Sprintf("00000000-0000-4000-8000-%012x", n),
		DetailType: "Scheduled Event", Source: "aws.scheduler",
		Account: "000000000000", Region: "us-east-1", Time: now.UTC().Format(time.RFC3339),
		Resources: []string{"arn:aws:scheduler:us-east-1:000000000000:schedule/default/" + s.Name}, Detail: "{}",
	}
}
