// Hello is the least that a Lambda function in Go can be: what others cost to start and to carry is told in times of it.
package main

import (
	"context"

	"github.com/aws/aws-lambda-go/lambda"
)

func main() {
	lambda.Start(func(context.Context) (string, error) { return "hello", nil })
}
