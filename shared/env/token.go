package env

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
)

// DatabaseToken makes the password of one connection where DATABASE_IAM is set: a signed
// request to connect to endpoint (host:port) as user, good for 15 minutes. It is made
// here, and nobody is called for it. Without DATABASE_IAM it is nil: the URL bears the
// password.
func (c Config) DatabaseToken() func(ctx context.Context, endpoint, user string) (string, error) {
	if !c.DatabaseIAM {
		return nil
	}
	credentials := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{
			AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey.Reveal(), SessionToken: c.SessionToken.Reveal(),
		}, nil
	})
	return func(ctx context.Context, endpoint, user string) (string, error) {
		return auth.BuildAuthToken(ctx, endpoint, c.Region, user, credentials)
	}
}
