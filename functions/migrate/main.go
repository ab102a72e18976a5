// Migrate is MigrateFunction: invoked before a deployment's traffic, it brings the
// database to this version's schema, forward only.
//
// Stopped half way, the next invocation goes on with the file that was not done.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/env"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
)

func main() {
	cfg := env.Use(env.Read(context.Background(), env.Database))
	edge := api.New(api.Options{LogLevel: cfg.LogLevel})

	lambda.Start(edge.Migrate(func(ctx context.Context) ([]string, int64, error) {
		done, err := migrations.Run(ctx, postgres.Options{URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA})
		return done.Applied, done.Version, err
	}))
}
