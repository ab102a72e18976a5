package stacktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

var descriptionFile = filepath.Join(root, "shared", "api", "openapi.yaml")

// description is the API as openapi.yaml tells it, every schema of it compiled once.
type description struct {
	document   map[string]any
	operations []*operation
}

// operation is one method of one path.
type operation struct {
	route     string // "GET /bookings/{bookingId}"
	method    string
	path      *regexp.Regexp
	open      bool               // takes no token
	body      *jsonschema.Schema // nil: it takes none
	responses map[string]response
}

type response struct {
	headers map[string]header
	content map[string]*jsonschema.Schema
}

type header struct {
	required bool
	schema   *jsonschema.Schema
}

// exposed are the headers that a page may read, and so those that a response has to describe.
var exposed = []string{"Location", "Retry-After", "Idempotency-Replayed"}

// described reads the description once.
var described = sync.OnceValues(func() (*description, error) {
	text, err := os.ReadFile(descriptionFile)
	if err != nil {
		return nil, err
	}
	return describe(text)
})

// describe panics on a document that is not built as OpenAPI: TestDescriptionIsOpenAPI says what is wrong with it.
func describe(text []byte) (*description, error) {
	var loose any
	if err := yaml.Unmarshal(text, &loose); err != nil {
		return nil, err
	}
	plain, err := json.Marshal(loose)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(plain))
	if err != nil {
		return nil, err
	}
	d := &description{document: document.(map[string]any)}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		return nil, err
	}
	for path, item := range d.at("/paths").of {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if op := d.at("/paths/" + escape(path)).child(strings.ToLower(method)); op.of != nil {
				open := op.of["security"] != nil && len(op.of["security"].([]any)) == 0
				d.operations = append(d.operations, d.operation(compiler, method, path, open, op))
			}
		}
		if len(item.(map[string]any)) == 0 {
			return nil, fmt.Errorf("%s has no operation", path)
		}
	}
	return d, nil
}

// place is a mapping of the document and the JSON pointer to it, references followed.
type place struct {
	document *description
	pointer  string
	of       map[string]any
}

func (d *description) at(pointer string) place {
	var node any = d.document
	for _, name := range strings.Split(pointer, "/")[1:] {
		within, ok := node.(map[string]any)
		if !ok {
			return place{d, pointer, nil}
		}
		node = within[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)]
	}
	of, ok := node.(map[string]any)
	if to, refers := of["$ref"].(string); ok && refers {
		return d.at(strings.TrimPrefix(to, "#"))
	}
	return place{d, pointer, of}
}

func (p place) child(name string) place { return p.document.at(p.pointer + "/" + escape(name)) }

func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

func (d *description) operation(c *jsonschema.Compiler, method, path string, open bool, op place) *operation {
	form := regexp.MustCompile(`\\\{[A-Za-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), `[^/]+`)
	o := &operation{
		route: method + " " + path, method: method, path: regexp.MustCompile("^" + form + "$"), open: open, responses: map[string]response{},
	}
	if body := op.child("requestBody"); body.of != nil {
		o.body = c.MustCompile("openapi.json#" + body.child("content").child("application/json").child("schema").pointer)
	}
	for status := range op.child("responses").of {
		from := op.child("responses").child(status)
		r := response{headers: map[string]header{}, content: map[string]*jsonschema.Schema{}}
		for kind := range from.child("content").of {
			r.content[kind] = c.MustCompile("openapi.json#" + from.child("content").child(kind).child("schema").pointer)
		}
		for name := range from.child("headers").of {
			h := from.child("headers").child(name)
			r.headers[name] = header{h.of["required"] == true, c.MustCompile("openapi.json#" + h.child("schema").pointer)}
		}
		o.responses[status] = r
	}
	return o
}

// find gives the operation of a request, a path without parameters first; nil when the description has none.
func (d *description) find(method, path string) (found *operation) {
	for _, o := range d.operations {
		if o.method == method && o.path.MatchString(path) && (found == nil || !strings.Contains(o.route, "{")) {
			found = o
		}
	}
	return found
}

// judge says what of an answer is not as described, or, when it was a success, of the body that had it.
func (o *operation) judge(sent string, a answer) error {
	as, known := o.responses[strconv.Itoa(a.status)]
	if !known {
		return fmt.Errorf("status %d is not described", a.status)
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil {
		return err
	}
	schema, known := as.content[kind]
	if !known {
		return fmt.Errorf("content of type %s is not described", kind)
	}
	faults := []error{fits(schema, a.body)}
	for _, name := range exposed {
		text, given := a.header.Get(name), len(a.header.Values(name)) > 0
		h, known := as.headers[name]
		switch {
		case given && !known:
			faults = append(faults, fmt.Errorf("the header %s is not described", name))
		case !given && h.required:
			faults = append(faults, fmt.Errorf("the header %s is missing", name))
		case given:
			// A header is a number where its schema wants one.
			if _, err := strconv.ParseInt(text, 10, 64); err != nil || !slices.Contains(typesOf(h.schema), "integer") {
				text = strconv.Quote(text)
			}
			faults = append(faults, fits(h.schema, []byte(text)))
		}
	}
	if a.status < 300 && sent != "" && o.body != nil {
		faults = append(faults, fits(o.body, []byte(sent)))
	}
	return errors.Join(faults...)
}

func typesOf(s *jsonschema.Schema) []string {
	if s.Types == nil {
		return nil
	}
	return s.Types.ToStrings()
}

func fits(schema *jsonschema.Schema, text []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// heldAgainst are the kinds of answers that were held against the description, and what was wrong with any.
var heldAgainst struct {
	sync.Mutex
	kinds  map[string]int // by route, status and code
	faults []string
}

// hold notes what of an answer of the API is not as described. What is no operation of the API is left alone.
func (a answer) hold(method, path, sent string) {
	d, err := described()
	if err != nil || a.err != nil {
		return // TestDescriptionIsOpenAPI tells of the former
	}
	o := d.find(method, path)
	if o == nil {
		return
	}
	fault := o.judge(sent, a)
	var p struct{ Code string }
	decode(a.body, &p)
	heldAgainst.Lock()
	defer heldAgainst.Unlock()
	if heldAgainst.kinds == nil {
		heldAgainst.kinds = map[string]int{}
	}
	heldAgainst.kinds[fmt.Sprintf("%s %d %s", o.route, a.status, p.Code)]++
	if fault != nil {
		heldAgainst.faults = append(heldAgainst.faults, fmt.Sprintf("%v: %v", a, fault))
	}
}

// undescribed prints what does not agree with the description, and says whether something does not.
func undescribed() bool {
	heldAgainst.Lock()
	defer heldAgainst.Unlock()
	answers := 0
	for _, n := range heldAgainst.kinds {
		answers += n
	}
	fmt.Printf("%d answers of %d kinds held against openapi.yaml\n", answers, len(heldAgainst.kinds))
	for i, fault := range heldAgainst.faults {
		if i == 20 {
			fmt.Fprintf(os.Stderr, "and %d more\n", len(heldAgainst.faults)-i)
			break
		}
		fmt.Fprintln(os.Stderr, "not as openapi.yaml has it: "+fault)
	}
	return len(heldAgainst.faults) > 0
}
