package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// libraries are what the functions are made of. Each is weighed by a hello-world that also has its use, which is never
// made but has to be linked.
var libraries = []struct{ id, name, imports, use string }{
	{"dep-pgx", "pgx, with its pool", "github.com/jackc/pgx/v5/pgxpool", `pool, err := pgxpool.New(ctx, "")
	_, _ = pool.Exec(ctx, "")
	print(err)`},
	{"dep-go-redis", "go-redis, server and cluster", "github.com/redis/go-redis/v9", `print(redis.NewClient(nil).Process(ctx, redis.NewCmd(ctx)), redis.NewClusterClient(nil).Process(ctx, redis.NewCmd(ctx)))`},
	{"dep-sqs", "the SDK's SQS", "github.com/aws/aws-sdk-go-v2/service/sqs", `_, err := sqs.New(sqs.Options{}).SendMessage(ctx, nil)
	print(err)`},
	{"dep-signer", "the SDK's signer, for secrets and RDS", "github.com/aws/aws-sdk-go-v2/feature/rds/auth", `_, err := auth.BuildAuthToken(ctx, "", "", "", nil)
	print(err)`},
	{"dep-slog", "log/slog", "log/slog", `slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("")`},
	{"dep-json", "encoding/json", "encoding/json", `text, err := json.Marshal(os.Args)
	print(json.Unmarshal(text, &err))`},
	{"dep-http", "net/http and crypto/tls", "net/http\"\n\t\"crypto/tls", `_, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}}).Get("")
	print(err)`},
}

const libraryMain = `// Weighs a library.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"%s"
)

func main() {
	if len(os.Args) > 1 {
		use(context.Background())
	}
	lambda.Start(func(context.Context) (string, error) { return "hello", nil })
}

func use(ctx context.Context) {
	%s
}
`

// weigh tells what each library adds to a hello-world: to its start, and to its size.
func (b *bench) weigh(ctx context.Context, api runtimeAPI, hello program) error {
	weighed := libraries
	if b.quick {
		weighed = weighed[len(weighed)-1:]
	}
	programs := []program{hello}
	for _, one := range weighed {
		file := filepath.Join(b.work, one.id, "main.go")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, fmt.Appendf(nil, libraryMain, one.imports, one.use), 0o644); err != nil {
			return err
		}
		p, err := b.build(ctx, strings.TrimPrefix(one.id, "dep-"), file, hello.tags)
		if err != nil {
			return err
		}
		programs = append(programs, p)
	}
	times, err := b.starts(ctx, api, nil, programs)
	if err != nil {
		return err
	}
	for i, one := range weighed {
		var more []float64
		for round, with := range times[i+1] {
			more = append(more, with-times[0][round])
		}
		b.report.amount(one.id, one.name+": init, beside hello-world", "ms", spreadOf(more))
		size := float64(programs[i+1].size-hello.size) / mebibyte
		b.report.amount(one.id+"-binary", "    binary", "MiB", spreadOf([]float64{size}))
	}
	return nil
}
