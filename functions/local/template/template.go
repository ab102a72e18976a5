// Package template reads a SAM template as the local stack needs it: which function answers which route, which queue
// and which schedule calls which function, with what environment, memory and time.
//
// It resolves parameters and intrinsic functions lazily, only in the parts it reads, so that the rest of the template
// may use whatever CloudFormation offers. What it reads and cannot resolve is an error that names the line; nothing
// is guessed. It has no state: a failed read leaves nothing behind.
package template

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Region and Account are what AWS::Region and AWS::AccountId stand for locally, and so what the ARNs bear.
const (
	Region  = "us-east-1"
	Account = "000000000000"
)

// Template is what of a SAM template matters locally. Every list is sorted by name and is the same on every read.
type Template struct {
	Functions []Function
	Routes    []Route
	Queues    []Queue
	Sources   []Source
	Schedules []Schedule
	Authority Authority
	Cors      Cors
}

// Function is one AWS::Serverless::Function with the globals merged in. Memory is in MiB.
type Function struct {
	Name        string
	Timeout     time.Duration
	Memory      int
	Handler     string
	Environment map[string]string
}

// Route is one HttpApi event. Path has segments in braces where it has parameters; Open says that it takes no token.
type Route struct {
	Method, Path, Function string
	Open                   bool
}

// Queue is one AWS::SQS::Queue. DeadLetter is the logical name of its dead-letter queue, or empty.
type Queue struct {
	Name, URL, ARN, DeadLetter string
	Visibility                 time.Duration
	MaxReceive                 int
}

// Source is one SQS event: a function that is called with batches from a queue (its logical name).
type Source struct {
	Queue, Function string
	BatchSize       int
	Partial         bool
}

// Schedule is one ScheduleV2 event. Input is what the function is called with; empty: an event that says nothing.
type Schedule struct {
	Name, Function, Input string
	Every                 time.Duration
}

// Authority is the JWT authorizer: who may have issued a token, and for whom.
type Authority struct {
	Issuer    string
	Audiences []string
}

// Cors is the CorsConfiguration of the API.
type Cors struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            int
}

// Options are the values that the template leaves open. Parameters win over the defaults of the template. QueueURL
// gives the URL of a queue by its logical name.
type Options struct {
	Parameters map[string]string
	QueueURL   func(name string) string
}

type resource struct {
	Type       string    `yaml:"Type"`
	Properties yaml.Node `yaml:"Properties"`
}

type document struct {
	Parameters map[string]struct {
		Type    string    `yaml:"Type"`
		Default yaml.Node `yaml:"Default"`
	} `yaml:"Parameters"`
	Conditions map[string]yaml.Node `yaml:"Conditions"`
	Globals    struct {
		Function yaml.Node `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]resource `yaml:"Resources"`
}

// Read reads the template at path. Errors name the path and, where it is known, the line.
func Read(path string, o Options) (*Template, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := parse(text, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func parse(text []byte, o Options) (*Template, error) {
	var doc document
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	r, err := newResolver(&doc, o)
	if err != nil {
		return nil, err
	}
	b := &builder{resolver: r, out: &Template{}}
	if err := b.globals(&doc.Globals.Function); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(doc.Resources)) {
		res := doc.Resources[name]
		switch res.Type {
		case "AWS::Serverless::Function":
			err = b.function(name, &res.Properties)
		case "AWS::SQS::Queue":
			err = b.queue(name, o.QueueURL(name), &res.Properties)
		case "AWS::Serverless::HttpApi":
			err = b.api(&res.Properties)
		case "AWS::Lambda::Url", "AWS::ApiGatewayV2::Route":
			err = fmt.Errorf("a %s lets callers past the routes that are read here", res.Type)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if len(b.out.Functions) == 0 {
		return nil, fmt.Errorf("there is no AWS::Serverless::Function in it")
	}
	return b.out, nil
}

// newResolver gives every parameter and resource the value that a reference to it has.
func newResolver(doc *document, o Options) (*resolver, error) {
	r := &resolver{
		refs: map[string]any{
			"AWS::Region": Region, "AWS::AccountId": Account, "AWS::Partition": "aws",
			"AWS::StackName": "stayhold-local", "AWS::URLSuffix": "amazonaws.com",
		},
		attributes: map[string]string{},
		conditions: doc.Conditions,
	}
	for name, p := range doc.Parameters {
		text, given := o.Parameters[name]
		if !given {
			if p.Default.Kind == 0 {
				continue
			}
			text = p.Default.Value
		}
		r.refs[name] = parameter(p.Type, text)
	}
	for name, res := range doc.Resources {
		if _, taken := r.refs[name]; taken {
			return nil, fmt.Errorf("%s is both a parameter and a resource", name)
		}
		r.refs[name] = name
		if res.Type == "AWS::SQS::Queue" {
			r.refs[name] = o.QueueURL(name)
			r.attributes[name+".Arn"] = queueARN(name)
			r.attributes[name+".QueueName"] = name
		}
	}
	return r, nil
}

func queueARN(name string) string { return "arn:aws:sqs:" + Region + ":" + Account + ":" + name }

// parameter splits a parameter of a list type.
func parameter(kind, text string) any {
	if kind != "CommaDelimitedList" && !strings.HasPrefix(kind, "List<") {
		return text
	}
	var list []any
	for part := range strings.SplitSeq(text, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list
}
