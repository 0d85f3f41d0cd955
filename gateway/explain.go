package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// explain returns the fault for a body that could not be decoded. It compares the body
// with the message of the route, and lists every field that does not fit, with its full
// path in JSON. The decoder itself names only one field, without its path. explain runs
// only for refused bodies.
func explain(route *route, body []byte) *fault.Fault {
	if route == nil || route.bodyMessage() == nil || len(body) == 0 {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "a parameter of the request is malformed")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var root any
	if err := decoder.Decode(&root); err != nil {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the body is not JSON")
	}
	e := &explainer{}
	e.message("", route.bodyMessage(), root)
	if f := e.found.Fault(); f != nil {
		return f
	}
	return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT,
		"the body does not fit the request: a field is given twice, or its value is malformed")
}

type explainer struct{ found fault.Collector }

func (e *explainer) add(path, message string) { e.found.Add(path, message) }

func (e *explainer) message(path string, m protoreflect.MessageDescriptor, value any) {
	if value == nil || e.wellKnown(path, m, value) {
		return
	}
	object, ok := value.(map[string]any)
	if !ok {
		e.add(path, "must be an object")
		return
	}
	names, more := namesToCheck(object, m)
	for _, name := range names {
		inner := strings.TrimPrefix(path+"."+name, ".")
		field := fieldByName(m, name)
		if field == nil {
			e.add(inner, "unknown field")
			continue
		}
		e.field(inner, field, object[name])
	}
	e.found.Count(more)
}

// namesToCheck returns the names in an object that are to be checked, sorted: all names that
// the message has, and the first unknown names, up to the number that a fault lists. It
// also returns how many more unknown names there are. Sorting a hundred thousand names
// would cost more than decoding them.
func namesToCheck(object map[string]any, m protoreflect.MessageDescriptor) (names []string, more int) {
	var unknown []string
	for name := range object {
		switch {
		case fieldByName(m, name) != nil:
			names = append(names, name)
		case len(unknown) < fault.MaxViolations:
			unknown = append(unknown, name)
			slices.Sort(unknown)
		default:
			if last := len(unknown) - 1; name < unknown[last] {
				unknown[last] = name
				slices.Sort(unknown)
			}
			more++
		}
	}
	names = append(names, unknown...)
	slices.Sort(names)
	return names, more
}

func (e *explainer) field(path string, field protoreflect.FieldDescriptor, value any) {
	switch {
	case value == nil:
		return // every field may be null, which means absent
	case field.IsMap():
		object, ok := value.(map[string]any)
		if !ok {
			e.add(path, "must be an object")
		}
		for key, item := range object {
			e.single(path+"."+key, field.MapValue(), item)
		}
	case field.IsList():
		list, ok := value.([]any)
		if !ok {
			e.add(path, "must be an array")
		}
		for i, item := range list {
			e.single(fmt.Sprintf("%s[%d]", path, i), field, item)
		}
	default:
		e.single(path, field, value)
	}
}

func (e *explainer) single(path string, field protoreflect.FieldDescriptor, value any) {
	if value == nil {
		e.add(path, "must not be null")
		return
	}
	if field.Message() != nil {
		e.message(path, field.Message(), value)
		return
	}
	if message := checkValue(field, value); message != "" {
		e.add(path, message)
	}
}

// checkValue returns what is wrong with a JSON value for a scalar field, or "".
func checkValue(field protoreflect.FieldDescriptor, value any) string {
	text, isText := value.(string)
	switch field.Kind() {
	case protoreflect.StringKind:
		if !isText {
			return "must be a string"
		}
	case protoreflect.BytesKind:
		if !isText {
			return "must be a base64 string"
		}
		if _, err := base64.StdEncoding.DecodeString(text); err != nil {
			return "must be base64"
		}
	case protoreflect.BoolKind:
		if _, ok := value.(bool); !ok {
			return "must be true or false"
		}
	case protoreflect.EnumKind:
		if number, ok := value.(json.Number); ok {
			return checkNumber(protoreflect.Int32Kind, number.String())
		}
		return checkText(field, text)
	default:
		if number, ok := value.(json.Number); ok {
			text, isText = number.String(), true
		}
		if !isText {
			return "must be a number"
		}
		return checkNumber(field.Kind(), text)
	}
	return ""
}

// checkNumber returns what is wrong with a number for a kind of field, or "". A whole
// number may have a fraction of zero or an exponent, as protobuf's JSON allows.
func checkNumber(kind protoreflect.Kind, text string) string {
	bits, signed, whole := 64, true, true
	switch kind {
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		whole = false
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		bits = 32
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		bits, signed = 32, false
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		signed = false
	default:
	}
	var err error
	switch {
	case !whole:
		if _, err = strconv.ParseFloat(text, 64); err != nil {
			return "must be a number"
		}
		return ""
	case signed:
		_, err = strconv.ParseInt(text, 10, bits)
	default:
		_, err = strconv.ParseUint(text, 10, bits)
	}
	if err != nil && !isWholeFloat(text, bits) {
		return fmt.Sprintf("must be a whole number of %d bits", bits)
	}
	return ""
}

func isWholeFloat(text string, bits int) bool {
	f, err := strconv.ParseFloat(text, 64)
	limit := float64(uint64(1) << (bits - 1))
	return err == nil && strings.ContainsAny(text, ".eE") && f == float64(int64(f)) && f < limit && f >= -limit
}

// wellKnown checks the messages that have a special form in JSON. It reports whether m is
// one of them.
func (e *explainer) wellKnown(path string, m protoreflect.MessageDescriptor, value any) bool {
	text, isText := value.(string)
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			e.add(path, "must be a time in the format of RFC 3339")
		}
	case "google.protobuf.Duration", "google.protobuf.FieldMask":
		if !isText {
			e.add(path, "must be a string")
		}
	case "google.protobuf.Struct":
		if _, ok := value.(map[string]any); !ok {
			e.add(path, "must be an object")
		}
	case "google.protobuf.Value":
	default:
		return false
	}
	return true
}
