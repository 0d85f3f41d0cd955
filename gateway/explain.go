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

// explain walks a body that could not be decoded beside the message that it
// should be, and names every field that does not fit, by its full path in
// JSON's spelling. The decoder names one, by its innermost name. The walk runs
// for refused bodies alone.
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

func (e *explainer) complain(path, message string) { e.found.Add(path, message) }

func (e *explainer) message(path string, m protoreflect.MessageDescriptor, value any) {
	if value == nil || e.wellKnown(path, m, value) {
		return
	}
	object, ok := value.(map[string]any)
	if !ok {
		e.complain(path, "must be an object")
		return
	}
	names, more := fewNames(object, m)
	for _, name := range names {
		inner := strings.TrimPrefix(path+"."+name, ".")
		field := fieldByName(m, name)
		if field == nil {
			e.complain(inner, "unknown field")
			continue
		}
		e.field(inner, field, object[name])
	}
	e.found.Count(more)
}

// fewNames returns the names in an object that need an explanation, sorted: all
// that the message has, and of the unknown ones the first that a fault would
// list. It also returns how many more unknown names there are. Sorting a hundred
// thousand names would cost more than decoding them.
func fewNames(object map[string]any, m protoreflect.MessageDescriptor) (names []string, more int) {
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
		return // null is the absent value of every field
	case field.IsMap():
		object, ok := value.(map[string]any)
		if !ok {
			e.complain(path, "must be an object")
		}
		for key, item := range object {
			e.single(path+"."+key, field.MapValue(), item)
		}
	case field.IsList():
		list, ok := value.([]any)
		if !ok {
			e.complain(path, "must be an array")
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
		e.complain(path, "must not be null")
		return
	}
	if field.Message() != nil {
		e.message(path, field.Message(), value)
		return
	}
	if message := checkValue(field, value); message != "" {
		e.complain(path, message)
	}
}

// checkValue tells what is wrong with a JSON value for a scalar field, or "".
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

// checkNumber tells what is wrong with a number for a kind of field, or "".
// Whole numbers may be spelled with a fraction of zero or an exponent, as
// protobuf's JSON allows.
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

// wellKnown explains the messages that JSON spells in a way of their own. It
// reports whether m is one.
func (e *explainer) wellKnown(path string, m protoreflect.MessageDescriptor, value any) bool {
	text, isText := value.(string)
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
			e.complain(path, "must be a time as RFC 3339 spells it")
		}
	case "google.protobuf.Duration", "google.protobuf.FieldMask":
		if !isText {
			e.complain(path, "must be a string")
		}
	case "google.protobuf.Struct":
		if _, ok := value.(map[string]any); !ok {
			e.complain(path, "must be an object")
		}
	case "google.protobuf.Value":
	default:
		return false
	}
	return true
}
