// Register is RegisterFunction: POST /bookings/{bookingId}/payments/register. It needs
// the database only.
//
// Stopped half way it leaves what the step's last transaction left; see package booking.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/env"
	"stayhold/shared/postgres"
)

func main() {
	ctx := context.Background()
	cfg := env.Use(env.Read(ctx, env.Database))
	db := env.Use(postgres.Open(postgres.Options{
		URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA, Pooler: cfg.DatabasePooler, Token: cfg.DatabaseToken(),
	}))
	edge := api.New(api.Options{UserIDClaim: cfg.UserIDClaim, Recaller: db, LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	lambda.Start(edge.Register(booking.Register{Store: db}.Run))
}
