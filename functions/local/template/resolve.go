package template

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// noValue is what !Ref AWS::NoValue stands for: the key or the item that bears it is left out.
type noValue struct{}

// What refers to itself has no end, and aliases of aliases grow by powers: past these a template is refused.
const (
	maxDepth = 100
	maxSteps = 100_000
)

// resolver turns nodes of the template into plain values: string, bool, int, float64, []any, map[string]any.
type resolver struct {
	refs       map[string]any
	attributes map[string]string
	conditions map[string]yaml.Node

	depth, steps int
}

// long maps a short tag to the name of the function it abbreviates.
func long(tag string) string {
	name := strings.TrimPrefix(tag, "!")
	if name == "Ref" || name == "Condition" {
		return name
	}
	return "Fn::" + name
}

// value resolves a node with everything below it.
func (r *resolver) value(node *yaml.Node) (any, error) {
	r.depth++
	defer func() { r.depth-- }()
	if r.steps++; r.depth > maxDepth || r.steps > maxSteps {
		return nil, fmt.Errorf("line %d: this refers to itself, or to too much", node.Line)
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!") {
		plain := *node
		plain.Tag = ""
		return r.call(long(node.Tag), &plain)
	}
	switch node.Kind {
	case yaml.MappingNode:
		return r.mapping(node)
	case yaml.SequenceNode:
		return r.sequence(node)
	default:
		var v any
		if err := node.Decode(&v); err != nil {
			return nil, fmt.Errorf("line %d: %w", node.Line, err)
		}
		return v, nil
	}
}

func (r *resolver) mapping(node *yaml.Node) (any, error) {
	if len(node.Content) == 2 {
		key := node.Content[0].Value
		if key == "Ref" || strings.HasPrefix(key, "Fn::") {
			return r.call(key, node.Content[1])
		}
	}
	out := make(map[string]any, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		v, err := r.value(node.Content[i+1])
		if err != nil {
			return nil, err
		}
		if _, gone := v.(noValue); !gone {
			out[node.Content[i].Value] = v
		}
	}
	return out, nil
}

func (r *resolver) sequence(node *yaml.Node) (any, error) {
	out := make([]any, 0, len(node.Content))
	for _, item := range node.Content {
		v, err := r.value(item)
		if err != nil {
			return nil, err
		}
		if _, gone := v.(noValue); !gone {
			out = append(out, v)
		}
	}
	return out, nil
}

// call evaluates one intrinsic function.
func (r *resolver) call(name string, arg *yaml.Node) (any, error) {
	switch name {
	case "Ref":
		return r.ref(arg.Value, arg.Line)
	case "Fn::GetAtt":
		return r.getAtt(arg)
	case "Fn::Sub":
		return r.sub(arg)
	case "Fn::If":
		return r.choose(arg)
	case "Condition", "Fn::Equals", "Fn::Not", "Fn::And", "Fn::Or":
		return r.boolean(name, arg)
	case "Fn::Join", "Fn::Split", "Fn::Select":
		return r.list(name, arg)
	default:
		return nil, fmt.Errorf("line %d: %s is not understood here", arg.Line, name)
	}
}

func (r *resolver) ref(name string, line int) (any, error) {
	if name == "AWS::NoValue" {
		return noValue{}, nil
	}
	if v, ok := r.refs[name]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("line %d: !Ref %s names nothing that has a value here", line, name)
}

func (r *resolver) getAtt(arg *yaml.Node) (any, error) {
	name := arg.Value
	if arg.Kind == yaml.SequenceNode {
		parts := make([]string, len(arg.Content))
		for i, part := range arg.Content {
			parts[i] = part.Value
		}
		name = strings.Join(parts, ".")
	}
	if v, ok := r.attributes[name]; ok {
		return v, nil
	}
	return nil, fmt.Errorf("line %d: !GetAtt %s names nothing that has a value here", arg.Line, name)
}

// sub replaces ${Name}, ${Name.Attribute} and, as itself, ${!Literal}.
func (r *resolver) sub(arg *yaml.Node) (any, error) {
	text, own := arg.Value, map[string]any{}
	if arg.Kind == yaml.SequenceNode && len(arg.Content) == 2 {
		text = arg.Content[0].Value
		v, err := r.value(arg.Content[1])
		if err != nil {
			return nil, err
		}
		if m, ok := v.(map[string]any); ok {
			own = m
		}
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("line %d: ${ without } in !Sub", arg.Line)
		}
		text = after
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		v, ok := own[name]
		if !ok {
			var err error
			if v, err = r.named(name, arg.Line); err != nil {
				return nil, err
			}
		}
		out.WriteString(scalar(v))
	}
}

func (r *resolver) named(name string, line int) (any, error) {
	if v, ok := r.attributes[name]; ok {
		return v, nil
	}
	return r.ref(name, line)
}

func (r *resolver) choose(arg *yaml.Node) (any, error) {
	if arg.Kind != yaml.SequenceNode || len(arg.Content) != 3 {
		return nil, fmt.Errorf("line %d: Fn::If wants a condition and two values", arg.Line)
	}
	yes, err := r.condition(arg.Content[0].Value, arg.Line)
	if err != nil {
		return nil, err
	}
	if yes {
		return r.value(arg.Content[1])
	}
	return r.value(arg.Content[2])
}

func (r *resolver) condition(name string, line int) (bool, error) {
	node, ok := r.conditions[name]
	if !ok {
		return false, fmt.Errorf("line %d: there is no condition %s", line, name)
	}
	v, err := r.value(&node)
	if err != nil {
		return false, err
	}
	yes, ok := v.(bool)
	if !ok {
		return false, fmt.Errorf("line %d: condition %s is neither true nor false", node.Line, name)
	}
	return yes, nil
}
