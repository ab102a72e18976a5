// Migrate is MigrateFunction: invoked before a deployment's traffic, it brings the
// database to this version's schema, forward only, and lets the functions in.
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
	cfg := env.Use(env.Read(context.Background(), env.Database, env.Migration))
	edge := api.New(api.Options{LogLevel: cfg.LogLevel, Namespace: cfg.MetricsNamespace})
	database := postgres.Options{URL: cfg.DatabaseURL.Reveal(), CA: cfg.DatabaseCA, Token: cfg.DatabaseToken()}

	lambda.Start(edge.Migrate(func(ctx context.Context) ([]string, int64, error) {
		done, err := migrations.Run(ctx, database)
		if login := cfg.FunctionsLogin; err == nil && login.Username != "" {
			err = migrations.LetIn(ctx, database, login.Username, login.Password.Reveal())
		}
		return done.Applied, done.Version, err
	}))
}
