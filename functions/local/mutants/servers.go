package main

import (
	"context"
	"os"
	"path/filepath"

	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// Where tests look for servers that run already.
const (
	databaseVariable = "TEST_DATABASE_URL"
	gateVariable     = "TEST_REDIS_URL"
)

// servers starts the database and the gate that all runs share, unless the environment names them: starting them again
// for each mutant would cost more than its test. It returns the variables to add.
func servers(ctx context.Context, dir string) (variables []string, stop func(), err error) {
	stop = func() {}
	if os.Getenv(databaseVariable) == "" {
		database, err := postgrestest.Start(ctx, postgrestest.Config{Dir: filepath.Join(dir, "postgres")})
		if err != nil {
			return nil, stop, err
		}
		stop = database.Stop
		variables = append(variables, databaseVariable+"="+database.URL())
	}
	if os.Getenv(gateVariable) == "" {
		gate, err := holdtest.Start(ctx, holdtest.Config{Dir: filepath.Join(dir, "redis")})
		if err != nil {
			stop()
			return nil, func() {}, err
		}
		database := stop
		stop = func() {
			gate.Stop()
			database()
		}
		variables = append(variables, gateVariable+"="+gate.URL())
	}
	return variables, stop, nil
}
