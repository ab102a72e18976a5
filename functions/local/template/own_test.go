package template

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

// ownStack is our template under one set of parameters, with all that the local stack has no use for: every resource that
// is made, its properties resolved. A reference to one that is not made has no value and fails the test, as it would fail
// a deployment.
type ownStack struct {
	*resolver
	doc    *ownDocument
	made   map[string]made
	faults []string
}

// made is one resource, a function with the globals merged in.
type made struct {
	Type       string
	Properties map[string]any
	DependsOn  []string
	Deletion   string
}

// ownDocument is the template's text as the local stack reads it, and what it leaves out.
type ownDocument struct {
	document
	attributes map[string]bool
	more       struct {
		Resources map[string]struct {
			Condition string    `yaml:"Condition"`
			DependsOn yaml.Node `yaml:"DependsOn"`
			Deletion  string    `yaml:"DeletionPolicy"`
		} `yaml:"Resources"`
		Outputs map[string]struct {
			Condition string    `yaml:"Condition"`
			Value     yaml.Node `yaml:"Value"`
		} `yaml:"Outputs"`
	}
}

// ownText is template.yaml as it stands.
var ownText = sync.OnceValue(func() []byte {
	text, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		panic(err)
	}
	return text
})

// ownParsed is read once: the combinations of parameters are many.
var ownParsed = sync.OnceValue(func() *ownDocument {
	// The resolver has no zones; two stand for a region's.
	text := bytes.ReplaceAll(ownText(), []byte(`!GetAZs ""`), []byte("[zone-a, zone-b]"))
	doc := &ownDocument{attributes: map[string]bool{}}
	if err := errors.Join(yaml.Unmarshal(text, &doc.document), yaml.Unmarshal(text, &doc.more)); err != nil {
		panic(err)
	}
	for _, res := range doc.Resources {
		doc.noteAttributes(&res.Properties)
	}
	for _, out := range doc.more.Outputs {
		doc.noteAttributes(&out.Value)
	}
	return doc
})

// noteAttributes keeps the attributes that are asked for below a node, by !GetAtt and in !Sub.
func (d *ownDocument) noteAttributes(node *yaml.Node) {
	switch node.Tag {
	case "!GetAtt":
		d.attributes[node.Value] = true
	case "!Sub":
		text := node.Value
		if len(node.Content) > 0 {
			text = node.Content[0].Value
		}
		for _, part := range strings.Split(text, "${")[1:] {
			if name, _, _ := strings.Cut(part, "}"); strings.Contains(name, ".") {
				d.attributes[name] = true
			}
		}
	}
	for _, below := range node.Content {
		d.noteAttributes(below)
	}
}

// arn is what an ARN among the attributes of our resources is in a test: it bears the path to it.
func arn(attribute string) string {
	return "arn:aws:any:" + Region + ":" + Account + ":any:" + strings.TrimSuffix(strings.TrimSuffix(attribute, "Arn"), ".")
}

// bring names what stands outside of the stack, as its parameters would.
func bring(name string) string {
	return "arn:aws:secretsmanager:" + Region + ":" + Account + ":secret:" + name
}

// own resolves the whole template. What parameters leave out has its default, and the gateway's secret a name.
func own(t *testing.T, parameters map[string]string) *ownStack {
	t.Helper()
	return ownResolved(parameters).whole(t)
}

// whole fails the test if something in the stack refers to nothing.
func (s *ownStack) whole(t *testing.T) *ownStack {
	t.Helper()
	for _, fault := range s.faults {
		t.Error(fault)
	}
	return s
}

func ownResolved(parameters map[string]string) *ownStack {
	given := map[string]string{"PaymentGatewaySecretArn": bring("payment")}
	maps.Copy(given, parameters)
	doc := ownParsed()
	s := &ownStack{doc: doc, made: map[string]made{}}
	var err error
	if s.resolver, err = newResolver(&doc.document, options(given)); err != nil {
		panic(err)
	}
	s.nameWhatIsMade()
	globals, _ := s.resolve("Globals", &doc.Globals.Function).(map[string]any)
	for name, res := range doc.Resources {
		more := doc.more.Resources[name]
		if !s.is(more.Condition) {
			continue
		}
		properties, _ := s.resolve(name, &res.Properties).(map[string]any)
		if res.Type == "AWS::Serverless::Function" {
			properties, _ = merged(globals, properties).(map[string]any)
		}
		var after []string
		for _, item := range texts(s.resolve(name, &more.DependsOn)) {
			if _, there := s.refs[item]; !there {
				s.faults = append(s.faults, name+" waits for "+item+", which is not made")
			}
			after = append(after, item)
		}
		s.made[name] = made{res.Type, properties, after, more.Deletion}
	}
	for name, out := range doc.more.Outputs {
		if s.is(out.Condition) {
			s.resolve(name, &out.Value)
		}
	}
	return s
}

// nameWhatIsMade gives a value to every attribute of the resources that are made, and takes the others' references away.
func (s *ownStack) nameWhatIsMade() {
	for name, res := range s.doc.Resources {
		if !s.is(s.doc.more.Resources[name].Condition) {
			delete(s.refs, name)
			continue
		}
		if res.Type == "AWS::Serverless::Function" {
			s.refs[name+".Version"] = name + ".Version"
		}
	}
	for attribute := range s.doc.attributes {
		name, _, _ := strings.Cut(attribute, ".")
		if _, there := s.refs[name]; !there || s.attributes[attribute] != "" {
			continue
		}
		s.attributes[attribute] = attribute
		if strings.HasSuffix(attribute, "Arn") {
			s.attributes[attribute] = arn(attribute)
		}
	}
}

// is evaluates a condition; none is true.
func (s *ownStack) is(condition string) bool {
	if condition == "" {
		return true
	}
	yes, err := s.condition(condition, 0)
	if err != nil {
		s.faults = append(s.faults, err.Error())
	}
	return yes
}

func (s *ownStack) resolve(where string, node *yaml.Node) any {
	if node.Kind == 0 {
		return nil
	}
	s.steps = 0
	v, err := s.value(node)
	if err != nil {
		s.faults = append(s.faults, where+": "+err.Error())
	}
	return v
}

// merged lays a function's own properties over the globals as SAM does: mappings key by key, lists one after the other.
func merged(base, over any) any {
	switch over := over.(type) {
	case map[string]any:
		if below, ok := base.(map[string]any); ok {
			out := maps.Clone(below)
			for key, v := range over {
				out[key] = merged(out[key], v)
			}
			return out
		}
	case []any:
		if below, ok := base.([]any); ok {
			return slices.Concat(below, over)
		}
	}
	return over
}

// at gives what stands under a path of keys, or nil.
func at(v any, path ...string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// list gives the items of a list, one thing alone as a list of it, and of nothing none.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// texts are the items of a list, or one alone, as CloudFormation hands them on.
func texts(v any) []string {
	var out []string
	for _, item := range list(v) {
		out = append(out, scalar(item))
	}
	return out
}

// of gives the names of the resources of a type, in order.
func (s *ownStack) of(kind string) []string {
	var names []string
	for name, res := range s.made {
		if res.Type == kind {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *ownStack) functions() []string { return s.of("AWS::Serverless::Function") }

func (s *ownStack) get(name string, path ...string) any {
	return at(s.made[name].Properties, path...)
}

func (s *ownStack) variables(function string) map[string]any {
	v, _ := s.get(function, "Environment", "Variables").(map[string]any)
	return v
}

// ownStacks is the template under every combination of what is made and what is brought.
var ownStacks = sync.OnceValue(func() map[string]*ownStack {
	choices := []map[string]map[string]string{
		{"dev": {}, "prod": {"Stage": "prod"}},
		{"network made": {}, "network brought": {"VpcId": "vpc-1", "GatewaySubnetIds": "gateway-a,gateway-b", "PrivateSubnetIds": "private-a,private-b"}},
		{
			"database made": {}, "database brought": {"DatabaseUrlArn": bring("database")},
			"database with owner": {"DatabaseUrlArn": bring("database"), "MigrateDatabaseUrlArn": bring("owner"), "DatabasePooler": "true"},
		},
		{"gate made": {}, "cluster made": {"CacheShards": "2"}, "gate brought": {"RedisUrlArn": bring("redis")}},
		// No two of these parameters go together throughout: what took one for the other would be seen.
		{
			"nothing more":    {},
			"own database CA": {"DatabaseCaArn": bring("database-ca"), "YpayGatewayUrl": "https://ypay.test", "AlarmEmail": "a@b.test"},
			"own gate CA":     {"RedisCaArn": bring("redis-ca"), "YpayGatewayUrl": "https://ypay.test", "JwtIssuer": "https://issuer.test"},
			"YPAY's own key":  {"YpayGatewaySecretArn": bring("ypay"), "AlarmEmail": "a@b.test", "JwtIssuer": "https://issuer.test", "CorsAllowOrigins": "https://a.test"},
		},
	}
	all := map[string]map[string]string{"": {}}
	for _, choice := range choices {
		next := map[string]map[string]string{}
		for before, have := range all {
			for name, parameters := range choice {
				both := maps.Clone(have)
				maps.Copy(both, parameters)
				next[strings.TrimPrefix(before+", "+name, ", ")] = both
			}
		}
		all = next
	}
	stacks := map[string]*ownStack{}
	for name, parameters := range all {
		stacks[name] = ownResolved(parameters)
	}
	return stacks
})

// everyStack calls f with each of them until one fails: the others would say the same.
func everyStack(t *testing.T, f func(t *testing.T, s *ownStack)) {
	t.Helper()
	all := ownStacks()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !t.Run(name, func(t *testing.T) { f(t, all[name].whole(t)) }) {
			return
		}
	}
}
