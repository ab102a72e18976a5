// Compensate is CompensateFunction: it takes batches of messages and does what the rows
// of their bookings command.
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
	"stayhold/shared/paymentgateway"
	"stayhold/shared/postgres"
	"stayhold/shared/queue"
)

func main() {
	ctx := context.Background()
	cfg := env.Use(env.Read(ctx, env.Database, env.Redis, env.Gateway))
	db := env.Use(postgres.Open(postgres.Options{
		URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA, Pooler: cfg.DatabasePooler, Token: cfg.DatabaseToken(),
	}))
	gate := env.Use(hold.New(hold.Options{URL: cfg.RedisURL.Reveal(), CA: cfg.RedisCA}))
	pay := paymentgateway.New(paymentgateway.Options{
		CardURL: cfg.PaymentGatewayURL, CardSecret: cfg.PaymentGatewaySecret.Reveal(),
		YPayURL: cfg.YPayGatewayURL, YPaySecret: cfg.YPayGatewaySecret.Reveal(), Timeout: cfg.GatewayTimeout,
	})
	edge := api.New(api.Options{LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	step := booking.Compensate{
		Store: db, Gate: gate, Gateway: pay,
		GatewayTimeout: cfg.GatewayTimeout, GatewaySession: cfg.GatewaySession,
	}
	lambda.Start(edge.Batch(cfg.GatewayTimeout, queue.Parse, step.Run))
}
