package env

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Init has ten seconds in all: two tries for each secret leave room for the rest.
const (
	fetchTime  = 3 * time.Second
	fetchTries = 2
	maxAnswer  = 128 << 10 // bytes; a secret is at most 64 KiB
	maxHeader  = 16 << 10
)

// fetch reads every secret named by ARN, each ARN once and all side by side. One signed
// call stands in for the service's client library, which would add a fifth to every
// binary and to its cold start.
func (r *reader) fetch(ctx context.Context) {
	type found struct {
		value string
		err   error
	}
	byARN := map[string]*found{}
	faults := len(r.faults)
	endpoint := r.url("AWS_ENDPOINT_URL_SECRETS_MANAGER", false)
	if len(r.secrets) == 0 || len(r.faults) > faults {
		return
	}
	client := &http.Client{
		Timeout:       fetchTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// Proxy is left out: over plain http one would read the secrets.
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
	}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	for _, s := range r.secrets {
		if byARN[s.arn] != nil {
			continue
		}
		f := &found{}
		byARN[s.arn] = f
		all.Go(func() { f.value, f.err = r.fetchOne(ctx, client, endpoint, s.arn) })
	}
	all.Wait()
	for _, s := range r.secrets {
		f := byARN[s.arn]
		if f.err != nil {
			r.fault(s.name, "Secrets Manager: %v", f.err)
			continue
		}
		if fault := s.take(f.value); fault != "" {
			r.fault(s.name, "the secret: %s", fault)
		}
	}
}

func (r *reader) fetchOne(ctx context.Context, client *http.Client, endpoint, arn string) (value string, err error) {
	for range fetchTries {
		var again bool
		if value, again, err = r.getSecretValue(ctx, client, endpoint, arn); !again {
			return value, err
		}
	}
	return value, err
}

// getSecretValue calls Secrets Manager once. Again: another try may succeed.
func (r *reader) getSecretValue(ctx context.Context, client *http.Client, endpoint, arn string) (value string, again bool, err error) {
	request, err := r.signed(ctx, endpoint, arn)
	if err != nil {
		return "", false, err
	}
	response, err := client.Do(request)
	if err != nil {
		return "", true, errors.New("the service does not answer")
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if closed := response.Body.Close(); err != nil || closed != nil {
		return "", true, errors.New("the service broke off")
	}
	var answer struct {
		SecretString *string
		Type         string `json:"__type"`
	}
	malformed := json.Unmarshal(body, &answer)
	switch {
	case response.StatusCode != http.StatusOK:
		code := answer.Type[strings.LastIndexByte(answer.Type, '#')+1:]
		again = response.StatusCode >= 500 || code == "ThrottlingException"
		return "", again, fmt.Errorf("the service answers %d %s", response.StatusCode, shown(code))
	case malformed != nil:
		return "", false, errors.New("the service's answer is not JSON")
	case answer.SecretString == nil || strings.TrimSpace(*answer.SecretString) == "":
		return "", false, errors.New("it has no text")
	}
	return strings.TrimSpace(*answer.SecretString), false, nil
}

func (r *reader) signed(ctx context.Context, endpoint, arn string) (*http.Request, error) {
	region, _ := regionOf(arn)
	if endpoint == "" {
		endpoint = "https://secretsmanager." + region + ".amazonaws.com"
		if strings.HasPrefix(arn, "arn:aws-cn:") {
			endpoint += ".cn"
		}
	}
	body, err := json.Marshal(map[string]string{"SecretId": arn})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(endpoint, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("AWS_ENDPOINT_URL_SECRETS_MANAGER is not a URL")
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	credentials := aws.Credentials{
		AccessKeyID:     r.get("AWS_ACCESS_KEY_ID"),
		SecretAccessKey: r.get("AWS_SECRET_ACCESS_KEY"),
		SessionToken:    r.get("AWS_SESSION_TOKEN"),
	}
	if credentials.AccessKeyID == "" || credentials.SecretAccessKey == "" {
		return nil, errors.New("AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY is missing")
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(sum[:]), "secretsmanager", region, time.Now())
	return request, err
}
