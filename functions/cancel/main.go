// Cancel is CancelFunction: POST /bookings/{bookingId}/cancel.
//
// Stopped half way it leaves what the step's last transaction left; see package booking.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/env"
	"stayhold/shared/hold"
	"stayhold/shared/postgres"
	"stayhold/shared/queue"
)

func main() {
	ctx := context.Background()
	cfg := env.Use(env.Read(ctx, env.Database, env.Redis, env.Queue))
	db := env.Use(postgres.Open(postgres.Options{
		URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA, Pooler: cfg.DatabasePooler, Token: cfg.DatabaseToken(),
	}))
	gate := env.Use(hold.New(hold.Options{URL: cfg.RedisURL.Reveal(), CA: cfg.RedisCA}))
	out := queue.New(queue.Options{
		QueueURL: cfg.CompensationQueueURL, Endpoint: cfg.SQSEndpoint, Region: cfg.Region,
		AccessKeyID: cfg.AccessKeyID, SecretAccessKey: cfg.SecretAccessKey.Reveal(), SessionToken: cfg.SessionToken.Reveal(),
	})
	edge := api.New(api.Options{UserIDClaim: cfg.UserIDClaim, Recaller: db, LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	lambda.Start(edge.Cancel(booking.Cancel{Store: db, Gate: gate, Queue: out}.Run))
}
