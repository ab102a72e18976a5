package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"stayhold/shared/booking"
	"stayhold/shared/jsonscan"
)

// event is what is read of an HTTP API event, payload 2.0. Members of another type
// than expected are left out: what then is missing decides the answer.
type event struct {
	routeKey   string
	rawPath    string
	rawQuery   string
	headers    members // those of headersRead
	parameters members // of the query; nil: there are none, and the raw query is read
	path       members
	text       string // the body as it came
	base64     bool
	requestID  string
	claims     members // of the token: only the one that bears the user's id
}

// members are those of an object whose names are anybody's, in their order. Of several
// with one name the last counts.
type members []entry

type entry struct {
	name string
	text string // of a string: what it means
	kind byte   // the first of its spelling
}

// usualMembers is room for what is read of an object.
const usualMembers = 2

func (m members) last(name string) (entry, bool) {
	for _, one := range slices.Backward(m) {
		if one.name == name {
			return one, true
		}
	}
	return entry{}, false
}

// decodeEvent takes what can be taken. A payload that is no event at all bears no
// identity either, and is answered so. Names are taken in any case, and what stands twice
// is taken as encoding/json takes it: objects are merged, of other values the last counts.
// claim names the one that bears the user's id.
func decodeEvent(payload []byte, claim string) event {
	var e event
	s := jsonscan.New(string(payload))
	s.Object(func(name string) {
		switch {
		case is(name, "routeKey"):
			readText(&s, &e.routeKey)
		case is(name, "rawPath"):
			readText(&s, &e.rawPath)
		case is(name, "rawQueryString"):
			readText(&s, &e.rawQuery)
		case is(name, "headers"):
			e.headers = readMembers(&s, e.headers, isRead)
		case is(name, "queryStringParameters"):
			e.parameters = readMembers(&s, e.parameters, anyName)
		case is(name, "pathParameters"):
			e.path = readMembers(&s, e.path, anyName)
		case is(name, "body"):
			readText(&s, &e.text)
		case is(name, "isBase64Encoded"):
			if spelled := s.Value(); spelled == "true" || spelled == "false" {
				e.base64 = spelled == "true"
			}
		case is(name, "requestContext"):
			s.Object(func(name string) {
				switch {
				case is(name, "requestId"):
					readText(&s, &e.requestID)
				case is(name, "authorizer"):
					e.claims = readClaims(&s, claim)
				default:
					s.Value()
				}
			})
		default:
			s.Value()
		}
	})
	if !s.Whole() {
		return event{}
	}
	return e
}

// is compares names as encoding/json does where none is spelled exactly so. The wanted one
// is ASCII, and no name that is as good as it is shorter.
func is(name, wanted string) bool {
	return len(name) >= len(wanted) && strings.EqualFold(name, wanted)
}

// readText reads a string. What is none changes nothing.
func readText(s *jsonscan.Scanner, to *string) {
	if text, is := s.Text(); is {
		*to = text
	}
}

// headersRead are the headers that anything here asks for.
var headersRead = []string{contentType, contentEncoding, idempotencyKey}

const (
	contentType     = "content-type"
	contentEncoding = "content-encoding"
	idempotencyKey  = "idempotency-key"
)

func isRead(header string) bool {
	return slices.ContainsFunc(headersRead, func(wanted string) bool { return is(header, wanted) })
}

func anyName(string) bool { return true }

// readMembers reads the wanted ones of an object behind what had been read of another one.
// Null empties the list, and what is neither changes nothing.
func readMembers(s *jsonscan.Scanner, list members, wanted func(name string) bool) members {
	switch s.Next() {
	case 'n':
		s.Value()
		return nil
	case '{':
		if list == nil {
			list = make(members, 0, usualMembers)
		}
	}
	s.Object(func(name string) {
		if !wanted(name) {
			s.Value()
			return
		}
		one := entry{name: name, kind: s.Next()}
		readText(s, &one.text)
		list = append(list, one)
	})
	return list
}

// readClaims reads a claim of an authorizer. One that is not as expected anywhere has found nobody.
func readClaims(s *jsonscan.Scanner, wanted string) (list members) {
	good := true
	s.Object(func(name string) {
		if !is(name, "jwt") {
			s.Value()
			return
		}
		nothing := s.Next() == 'n'
		object := s.Object(func(name string) {
			if !is(name, "claims") {
				s.Value()
				return
			}
			first := s.Next()
			good = good && (first == '{' || first == 'n')
			list = readMembers(s, list, func(name string) bool { return name == wanted })
		})
		good = good && (object || nothing)
	})
	if !good {
		return nil
	}
	return list
}

// header joins every spelling of a header by commas, as repeated lines are joined before
// they get here. It is one of headersRead. given says whether there was one at all.
func (e event) header(name string) (value string, given bool) {
	seen := map[string]bool{}
	for _, one := range slices.Backward(e.headers) {
		if !is(one.name, name) || seen[one.name] {
			continue
		}
		seen[one.name] = true
		if given {
			value = "," + value
		}
		value = one.text + value
		given = true
	}
	return strings.Trim(value, " \t"), given
}

// user reads the identity that the authorizer found in the token.
func (e event) user() (int64, error) {
	if len(e.claims) == 0 || e.claims[len(e.claims)-1].kind == 'n' {
		return 0, booking.ErrUnauthenticated
	}
	// The text of what is no string is no id either.
	id, ok := parseID(e.claims[len(e.claims)-1].text)
	if !ok {
		return 0, booking.ErrInvalidSubject
	}
	return id, nil
}

// pathID reads one id of the path: from the parameters, or else from the raw path,
// which may begin with the stage. template is "/bookings/{bookingId}/cancel".
func (e event) pathID(template, name string) (int64, bool) {
	given, ok := e.path.last(name)
	text := given.text
	if !ok {
		text = fromPath(template, e.rawPath, name)
	}
	text, err := url.PathUnescape(text)
	if err != nil {
		return 0, false
	}
	return parseID(text)
}

// fromPath lays template and path upon each other from their ends.
func fromPath(template, path, name string) string {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	for i := range want {
		at := len(have) - len(want) + i
		if want[i] == "{"+name+"}" && at > 0 {
			return have[at]
		}
	}
	return ""
}

// query reads one parameter. Repeated ones come joined by commas and so are no number
// and no status.
func (e event) query(name string) (value string, given bool) {
	if e.parameters == nil && e.rawQuery != "" {
		// Parameters that cannot be decoded are left out, as API Gateway does.
		values, _ := url.ParseQuery(e.rawQuery)
		return strings.Join(values[name], ","), values.Has(name)
	}
	one, given := e.parameters.last(name)
	return one.text, given
}

// parseID reads a positive int64 in plain decimal: digits only, no leading zero.
func parseID(text string) (int64, bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	id, err := strconv.ParseInt(text, 10, 64)
	return id, err == nil
}
