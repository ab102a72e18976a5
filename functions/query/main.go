// Query is QueryFunction: every GET. It never writes.
//
// Stopped half way it leaves nothing behind.
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
	edge := api.New(api.Options{UserIDClaim: cfg.UserIDClaim, LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})

	lambda.Start(edge.Query(booking.Query{Store: db, Gate: gate}))
}
