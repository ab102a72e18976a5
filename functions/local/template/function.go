package template

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// boolean evaluates the functions that yield true or false.
func (r *resolver) boolean(name string, arg *yaml.Node) (any, error) {
	if name == "Condition" {
		return r.condition(arg.Value, arg.Line)
	}
	items, err := r.arguments(name, arg)
	if err != nil {
		return nil, err
	}
	switch name {
	case "Fn::Equals":
		if len(items) != 2 {
			return nil, fmt.Errorf("line %d: Fn::Equals wants two values", arg.Line)
		}
		return scalar(items[0]) == scalar(items[1]), nil
	case "Fn::Not":
		if len(items) != 1 {
			return nil, fmt.Errorf("line %d: Fn::Not wants one condition", arg.Line)
		}
		return items[0] != true, nil
	case "Fn::And":
		for _, item := range items {
			if item != true {
				return false, nil
			}
		}
		return true, nil
	default:
		for _, item := range items {
			if item == true {
				return true, nil
			}
		}
		return false, nil
	}
}

// list evaluates the functions over lists.
func (r *resolver) list(name string, arg *yaml.Node) (any, error) {
	items, err := r.arguments(name, arg)
	if err != nil {
		return nil, err
	}
	if len(items) != 2 {
		return nil, fmt.Errorf("line %d: %s wants two arguments", arg.Line, name)
	}
	if name == "Fn::Split" {
		var out []any
		for part := range strings.SplitSeq(scalar(items[1]), scalar(items[0])) {
			out = append(out, part)
		}
		return out, nil
	}
	values, ok := items[1].([]any)
	if !ok {
		return nil, fmt.Errorf("line %d: %s wants a list", arg.Line, name)
	}
	if name == "Fn::Select" {
		i, ok := items[0].(int)
		if !ok || i < 0 || i >= len(values) {
			return nil, fmt.Errorf("line %d: Fn::Select has no item %v", arg.Line, items[0])
		}
		return values[i], nil
	}
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = scalar(v)
	}
	return strings.Join(parts, scalar(items[0])), nil
}

func (r *resolver) arguments(name string, arg *yaml.Node) ([]any, error) {
	v, err := r.value(arg)
	if err != nil {
		return nil, err
	}
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("line %d: %s wants a list of arguments", arg.Line, name)
	}
	return items, nil
}

// scalar writes a scalar as CloudFormation hands it on, and a list joined by commas.
func scalar(v any) string {
	switch v := v.(type) {
	case nil, noValue:
		return ""
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = scalar(item)
		}
		return strings.Join(parts, ",")
	default:
		return fmt.Sprint(v)
	}
}
