// Sweep is SweepFunction: each minute it finishes what nobody else will.
//
// Stopped half way it leaves what the step's last transaction left; see package booking.
package main

import (
	"context"
	"math/rand/v2"

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
	cfg := env.Use(env.Read(ctx, env.Database, env.Redis, env.Gateway, env.Queue))
	db := env.Use(postgres.Open(postgres.Options{
		URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA, Pooler: cfg.DatabasePooler, Token: cfg.DatabaseToken(),
	}))
	gate := env.Use(hold.New(hold.Options{URL: cfg.RedisURL.Reveal(), CA: cfg.RedisCA}))
	pay := paymentgateway.New(paymentgateway.Options{
		CardURL: cfg.PaymentGatewayURL, CardSecret: cfg.PaymentGatewaySecret.Reveal(),
		YPayURL: cfg.YPayGatewayURL, YPaySecret: cfg.YPayGatewaySecret.Reveal(), Timeout: cfg.GatewayTimeout,
	})
	out := queue.New(queue.Options{
		QueueURL: cfg.CompensationQueueURL, Endpoint: cfg.SQSEndpoint, Region: cfg.Region,
		AccessKeyID: cfg.AccessKeyID, SecretAccessKey: cfg.SecretAccessKey.Reveal(), SessionToken: cfg.SessionToken.Reveal(),
	})
	edge := api.New(api.Options{LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	step := booking.Sweep{
		Compensate: booking.Compensate{
			Store: db, Gate: gate, Gateway: pay,
			GatewayTimeout: cfg.GatewayTimeout, GatewaySession: cfg.GatewaySession,
		},
		Queue:     out,
		Reconcile: booking.Reconcile{Store: db, Gate: gate},
		Grace:     cfg.SweepGrace,
		Batch:     100,
		Reserve:   cfg.GatewayTimeout,
		First:     rand.IntN,
	}
	lambda.Start(edge.Sweep(step.Run, db.Outstanding))
}
