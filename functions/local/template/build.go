package template

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// builder fills a Template, one resource after the other.
type builder struct {
	*resolver
	out      *Template
	defaults Function
}

// child is the node under a key of a mapping, or nil.
func child(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// at resolves the node under a path of keys; nil when there is none.
func (b *builder) at(node *yaml.Node, path ...string) (any, error) {
	for _, key := range path {
		node = child(node, key)
	}
	if node == nil {
		return nil, nil
	}
	return b.value(node)
}

func (b *builder) text(node *yaml.Node, path ...string) (string, error) {
	v, err := b.at(node, path...)
	return scalar(v), err
}

// bounds are what CloudFormation takes for a number, and what stands for it when it is not given.
type bounds struct{ fallback, least, most int }

func (b *builder) number(node *yaml.Node, in bounds, path ...string) (int, error) {
	v, err := b.at(node, path...)
	if err != nil || v == nil {
		return in.fallback, err
	}
	n, err := strconv.Atoi(scalar(v))
	if err != nil || n < in.least || n > in.most {
		return 0, fmt.Errorf("%s: %q is not a number from %d to %d", strings.Join(path, "."), scalar(v), in.least, in.most)
	}
	return n, nil
}

func (b *builder) texts(node *yaml.Node, path ...string) ([]string, error) {
	v, err := b.at(node, path...)
	if err != nil || v == nil {
		return nil, err
	}
	items, ok := v.([]any)
	if !ok {
		items = []any{v}
	}
	var out []string
	for _, item := range items {
		if s := strings.TrimSpace(scalar(item)); s != "" {
			out = append(out, s)
		}
	}
	return out, nil
}

func (b *builder) globals(node *yaml.Node) error {
	f, err := b.settings(Function{Timeout: 3 * time.Second, Memory: 128}, node)
	b.defaults = f
	return err
}

// settings lays the properties of node over base. Variables are merged one by one, as SAM does.
func (b *builder) settings(base Function, node *yaml.Node) (Function, error) {
	seconds, err := b.number(node, bounds{int(base.Timeout / time.Second), 1, 900}, "Timeout")
	if err != nil {
		return base, err
	}
	base.Timeout = time.Duration(seconds) * time.Second
	if base.Memory, err = b.number(node, bounds{base.Memory, 128, 10240}, "MemorySize"); err != nil {
		return base, err
	}
	if child(node, "FunctionUrlConfig") != nil {
		return base, fmt.Errorf("a function URL lets callers past the API")
	}
	handler, err := b.text(node, "Handler")
	if err != nil {
		return base, err
	}
	if handler != "" {
		base.Handler = handler
	}
	variables := maps.Clone(base.Environment)
	if variables == nil {
		variables = map[string]string{}
	}
	own := child(child(node, "Environment"), "Variables")
	for i := 0; own != nil && i+1 < len(own.Content); i += 2 {
		name := own.Content[i].Value
		v, err := b.variable(name, own.Content[i+1])
		if err != nil {
			return base, err
		}
		if _, gone := v.(noValue); !gone {
			variables[name] = scalar(v)
		}
	}
	base.Environment = variables
	return base, nil
}

// variable resolves one environment variable. A secret's ARN is a parameter without default: nobody has it locally,
// where the secret itself is given, so its name stands for it.
func (b *builder) variable(name string, node *yaml.Node) (any, error) {
	if strings.HasSuffix(name, "_ARN") {
		return "", nil
	}
	v, err := b.value(node)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

func (b *builder) function(name string, node *yaml.Node) error {
	f, err := b.settings(b.defaults, node)
	if err != nil {
		return err
	}
	f.Name = name
	b.out.Functions = append(b.out.Functions, f)
	events := child(node, "Events")
	for i := 0; events != nil && i+1 < len(events.Content); i += 2 {
		key, event := events.Content[i].Value, events.Content[i+1]
		kind, err := b.text(event, "Type")
		if err != nil {
			return err
		}
		properties := child(event, "Properties")
		switch kind {
		case "HttpApi":
			err = b.route(name, properties)
		case "SQS":
			err = b.source(name, properties)
		case "ScheduleV2", "Schedule":
			err = b.schedule(name, key, properties)
		default:
			err = fmt.Errorf("events of type %q are not understood here", kind)
		}
		if err != nil {
			return fmt.Errorf("event %s: %w", key, err)
		}
	}
	return nil
}

func (b *builder) route(function string, node *yaml.Node) error {
	method, err := b.text(node, "Method")
	if err != nil {
		return err
	}
	path, err := b.text(node, "Path")
	if err != nil {
		return err
	}
	authorizer, err := b.text(node, "Auth", "Authorizer")
	if err != nil {
		return err
	}
	if method == "" || !strings.HasPrefix(path, "/") {
		return fmt.Errorf("a route wants a Method and a Path")
	}
	b.out.Routes = append(b.out.Routes, Route{
		Method: strings.ToUpper(method), Path: path, Function: function, Open: authorizer == "NONE",
	})
	return nil
}

func (b *builder) source(function string, node *yaml.Node) error {
	arn, err := b.text(node, "Queue")
	if err != nil {
		return err
	}
	size, err := b.number(node, bounds{10, 1, 10}, "BatchSize")
	if err != nil {
		return err
	}
	kinds, err := b.texts(node, "FunctionResponseTypes")
	if err != nil {
		return err
	}
	b.out.Sources = append(b.out.Sources, Source{
		Queue: arn[strings.LastIndexByte(arn, ':')+1:], Function: function,
		BatchSize: size, Partial: slices.Contains(kinds, "ReportBatchItemFailures"),
	})
	return nil
}

func (b *builder) schedule(function, name string, node *yaml.Node) error {
	expression, err := b.text(node, "ScheduleExpression")
	if err != nil {
		return err
	}
	if expression == "" {
		if expression, err = b.text(node, "Schedule"); err != nil {
			return err
		}
	}
	every, err := rate(expression)
	if err != nil {
		return err
	}
	input, err := b.text(node, "Input")
	if err != nil {
		return err
	}
	b.out.Schedules = append(b.out.Schedules, Schedule{Name: name, Function: function, Input: input, Every: every})
	return nil
}

// rate reads a rate expression; cron expressions have no place in the local stack.
func rate(expression string) (time.Duration, error) {
	var n int
	var unit string
	inner, ok := strings.CutPrefix(expression, "rate(")
	if _, err := fmt.Sscanf(strings.TrimSuffix(inner, ")"), "%d %s", &n, &unit); !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%q is not a rate expression", expression)
	}
	units := map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	one, ok := units[strings.TrimSuffix(unit, "s")]
	if !ok || n > int(math.MaxInt64/one) {
		return 0, fmt.Errorf("%q is not a rate expression", expression)
	}
	return time.Duration(n) * one, nil
}

func (b *builder) queue(name, url string, node *yaml.Node) error {
	seconds, err := b.number(node, bounds{30, 0, 43200}, "VisibilityTimeout")
	if err != nil {
		return err
	}
	target, err := b.text(node, "RedrivePolicy", "deadLetterTargetArn")
	if err != nil {
		return err
	}
	most, err := b.number(node, bounds{0, 1, 1000}, "RedrivePolicy", "maxReceiveCount")
	if err != nil {
		return err
	}
	b.out.Queues = append(b.out.Queues, Queue{
		Name: name, URL: url, ARN: queueARN(name), DeadLetter: target[strings.LastIndexByte(target, ':')+1:],
		Visibility: time.Duration(seconds) * time.Second, MaxReceive: most,
	})
	return nil
}

func (b *builder) api(node *yaml.Node) error {
	authorizer, err := b.text(node, "Auth", "DefaultAuthorizer")
	if err != nil {
		return err
	}
	if authorizer != "" {
		jwt := child(child(child(child(node, "Auth"), "Authorizers"), authorizer), "JwtConfiguration")
		if b.out.Authority.Issuer, err = b.text(jwt, "issuer"); err != nil {
			return err
		}
		if b.out.Authority.Audiences, err = b.texts(jwt, "audience"); err != nil {
			return err
		}
	}
	return b.cors(child(node, "CorsConfiguration"))
}

func (b *builder) cors(node *yaml.Node) (err error) {
	c := &b.out.Cors
	if c.MaxAge, err = b.number(node, bounds{0, -1, 86400}, "MaxAge"); err != nil {
		return err
	}
	for key, list := range map[string]*[]string{
		"AllowOrigins": &c.Origins, "AllowMethods": &c.Methods, "AllowHeaders": &c.Headers, "ExposeHeaders": &c.Expose,
	} {
		if *list, err = b.texts(node, key); err != nil {
			return err
		}
	}
	return nil
}
