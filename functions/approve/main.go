// Approve is ApproveFunction: POST /bookings/{bookingId}/payments/pg-approve. It opens
// the connections of gate and database before the first request.
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
	edge := api.New(api.Options{UserIDClaim: cfg.UserIDClaim, Recaller: db, LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	gate.Connect(ctx)
	db.Connect(ctx)
	step := booking.Approve{
		Store: db, Gate: gate, Gateway: pay, Queue: out, Clock: api.Clock{},
		HoldTTL: cfg.HoldTTL, Window: cfg.PaymentWindow, GatewayTimeout: cfg.GatewayTimeout,
	}
	lambda.Start(edge.Approve(step.Run))
}
