package jsonscan

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// texts are in the syntax, at its edges and beyond them.
var texts = []string{
	`{"a":{"A":1,"a":[2,null],"":"é\ud83d\ude00\ud800x\u00e9\/\b\f\n\r\t\\\""},"a":3}`, " \t\r\n[ ] \n", `[[],{},"",true,false,null,-0.5e+10,1E-2,0,10]`,
	"\"\xff\xc2\u0080\u2028\"", "{\"\xff\":1}", "\"a\x00\"", "\"\n\"", "{}\x00", "\ufeff{}", "", " ", `{}{}`, `{"b":1,}`, `{"b":1 "a":1}`, `{"a"}`, `{"a":}`,
	`{,}`, `[,]`, `[1,]`, `[1 2]`, `{1:2}`, `{'b':1}`, `01`, `-`, `1.`, `.5`, `1e`, `+1`, `1e+`, `tru`, `nulll`, `"\x"`, `"\u12g4"`, `"\u123`, `"\`, `"`, `[`, `{"a":1`,
	strings.Repeat("[", MaxNesting) + strings.Repeat("]", MaxNesting), strings.Repeat("[", MaxNesting+1) + strings.Repeat("]", MaxNesting+1),
	strings.Repeat(`{"a":`, MaxNesting) + "1" + strings.Repeat("}", MaxNesting), strings.Repeat(`{"a":`, MaxNesting+1) + "1" + strings.Repeat("}", MaxNesting+1),
}

// read reads a value of any type.
func read(s *Scanner) any {
	switch s.Next() {
	case '{':
		object := map[string]any{}
		s.Object(func(name string) { object[name] = read(s) })
		return object
	case '[':
		array := []any{}
		s.Array(func() { array = append(array, read(s)) })
		return array
	case '"':
		text, _ := s.Text()
		return text
	}
	switch word := s.Value(); word {
	case "true", "false":
		return word == "true"
	case "null":
		return nil
	default:
		return json.Number(word)
	}
}

// Every text is taken, refused and understood as the library does it.
func FuzzScanner(f *testing.F) {
	for _, text := range texts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, want := Valid(text), json.Valid([]byte(text)); got != want {
			t.Fatalf("%.2000q is one JSON value: %v, and the library says %v", text, got, want)
		}
		if !Valid(text) {
			return
		}
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var want any
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		s := New(text)
		if got := read(&s); !reflect.DeepEqual(got, want) || !s.Whole() {
			t.Fatalf("%.2000q is read as %v, and by the library as %v", text, got, want)
		}
	})
}

// What is not of the type that is asked for is passed, and says so.
func TestAnotherTypeIsPassed(t *testing.T) {
	const text = `[{"a":1},7,"b"]`
	s := New(text)
	if s.Object(nil) || !s.Whole() {
		t.Error("an array is an object")
	}
	s = New(text)
	took := 0
	s.Array(func() {
		took++
		switch took {
		case 1:
			if s.Array(nil) {
				t.Error("an object is an array")
			}
		default:
			if text, is := s.Text(); is != (took == 3) || is && text != "b" {
				t.Errorf("item %d is text: %v %q", took, is, text)
			}
		}
	})
	if took != 3 || !s.Whole() {
		t.Errorf("%d items", took)
	}
}
