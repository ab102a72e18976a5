package queuetest

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const maxAttributes = 10 // of one message, set by SQS

// attribute is one message attribute. The binary value is base64 in JSON.
type attribute struct {
	DataType    string
	StringValue *string `json:",omitempty"`
	BinaryValue []byte  `json:",omitempty"`
}

var attributeName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,256}$`)

func (a attribute) binary() bool { return a.kind() == "Binary" }

// kind is the data type without its custom label ("Number" of "Number.int").
func (a attribute) kind() string {
	kind, _, _ := strings.Cut(a.DataType, ".")
	return kind
}

func (a attribute) size() int {
	n := len(a.DataType) + len(a.BinaryValue)
	if a.StringValue != nil {
		n += len(*a.StringValue)
	}
	return n
}

func (a attribute) check(name string) error {
	if !attributeName.MatchString(name) {
		return invalid("The message attribute name '%s' is invalid. Attribute name can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters.", name)
	}
	switch a.kind() {
	case "String", "Number":
		if a.StringValue == nil || *a.StringValue == "" || a.BinaryValue != nil {
			return invalid("The message attribute '%s' must contain a non-empty value of its type '%s'.", name, a.DataType)
		}
		if !allowedText(*a.StringValue) {
			return errContents
		}
		if _, err := strconv.ParseFloat(*a.StringValue, 64); a.kind() == "Number" && err != nil {
			return invalid("Can't cast the value of message (user) attribute '%s' to a number.", name)
		}
	case "Binary":
		if len(a.BinaryValue) == 0 || a.StringValue != nil {
			return invalid("The message attribute '%s' must contain a non-empty value of its type '%s'.", name, a.DataType)
		}
	default:
		return invalid("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
	}
	return nil
}

// allowedText says whether all characters are in the set that SQS carries.
func allowedText(text string) bool {
	for _, r := range text {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
		case r < 0x20 || r == 0xFFFE || r == 0xFFFF:
			return false
		}
	}
	return true
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// md5Attributes is the digest that SQS defines over message attributes: sorted by
// name, each part with its length before it, and a byte for the kind of value.
func md5Attributes(attributes map[string]attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	sum := md5.New()
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		writePart(sum, []byte(name))
		writePart(sum, []byte(a.DataType))
		if a.binary() {
			sum.Write([]byte{2})
			writePart(sum, a.BinaryValue)
			continue
		}
		sum.Write([]byte{1})
		writePart(sum, []byte(*a.StringValue))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writePart(sum hash.Hash, part []byte) {
	sum.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
	sum.Write(part)
}

// chosen gives the attributes that a receiver asked for: by name, by "prefix.*",
// or all of them by "All" or ".*".
func chosen(attributes map[string]attribute, names []string) map[string]attribute {
	result := map[string]attribute{}
	for name, a := range attributes {
		for _, wanted := range names {
			prefix, wild := strings.CutSuffix(wanted, ".*")
			if wanted == "All" || wanted == name || wild && strings.HasPrefix(name, prefix) {
				result[name] = a
			}
		}
	}
	return result
}
