// Reserve is ReserveFunction: POST /bookings/reserve. It opens the gate's connection
// before the first request, and the database's with the first buyer that is admitted.
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
)

func main() {
	ctx := context.Background()
	cfg := env.Use(env.Read(ctx, env.Database, env.Redis))
	db := env.Use(postgres.Open(postgres.Options{
		URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA, Pooler: cfg.DatabasePooler, Token: cfg.DatabaseToken(),
	}))
	gate := env.Use(hold.New(hold.Options{URL: cfg.RedisURL.Reveal(), CA: cfg.RedisCA}))
	edge := api.New(api.Options{UserIDClaim: cfg.UserIDClaim, Recaller: db, LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	gate.Connect(ctx)
	step := booking.Reserve{Store: db, Gate: gate, HoldTTL: cfg.HoldTTL, MaxOpenHolds: cfg.MaxOpenHolds}
	lambda.Start(edge.Reserve(step.Run))
}
