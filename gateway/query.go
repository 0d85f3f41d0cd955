package gateway

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// checkQuery refuses, by name, every query parameter that the route does not
// have, and every value that its field cannot hold. grpc-gateway would ignore
// the former, and a filter that is misspelled must not list everything. It
// returns the query with the names in field masks as the services spell them.
func checkQuery(route *route, raw string) (string, error) {
	if raw == "" {
		return "", nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the query cannot be read")
	}
	var broken fault.Collector
	for _, name := range slices.Sorted(maps.Keys(query)) {
		field := route.queryField(name)
		switch {
		case field == nil:
			broken.Add(name, "unknown query parameter")
		case !field.IsList() && len(query[name]) > 1:
			broken.Add(field.JSONName(), "must be given once")
		default:
			for i, value := range query[name] {
				text, message := route.checkParameter(field, value)
				if message != "" {
					broken.Add(field.JSONName(), message)
				}
				query[name][i] = text
			}
		}
	}
	if f := broken.Fault(); f != nil {
		return "", f
	}
	return query.Encode(), nil
}

// checkParameter tells what is wrong with a parameter, or "", and how the
// services spell it.
func (r *route) checkParameter(field protoreflect.FieldDescriptor, text string) (spelled, problem string) {
	if m := field.Message(); m == nil || m.FullName() != "google.protobuf.FieldMask" {
		return text, checkText(field, text)
	}
	paths := strings.Split(text, ",")
	for i, path := range paths {
		spelling, ok := maskPath(r.bodyMessage(), path)
		if !ok {
			return text, "names no field: " + strconv.Quote(path)
		}
		paths[i] = spelling
	}
	return strings.Join(paths, ","), ""
}

// maskPath spells a path of a field mask, which JSON writes in lowerCamelCase,
// as the contract does. "*" stands for all of them (AIP-134).
func maskPath(m protoreflect.MessageDescriptor, path string) (string, bool) {
	if path == "*" {
		return path, true
	}
	names := strings.Split(path, ".")
	for i, name := range names {
		if m == nil {
			return "", false
		}
		field := fieldByName(m, name)
		if field == nil {
			return "", false
		}
		names[i], m = string(field.Name()), field.Message()
	}
	return strings.Join(names, "."), true
}

// fieldByName finds a field by its name in JSON, or else in the contract.
func fieldByName(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := m.Fields().ByJSONName(name); field != nil {
		return field
	}
	return m.Fields().ByName(protoreflect.Name(name))
}

// queryField returns the field of the request that a query parameter sets: one
// that neither the path nor the body fills.
func (r *route) queryField(name string) protoreflect.FieldDescriptor {
	if r.body == "*" {
		return nil
	}
	field := fieldByName(r.input, name)
	if field == nil || string(field.Name()) == r.body || r.params[string(field.Name())] {
		return nil
	}
	return field
}

// checkText tells what is wrong with the text of a field's value, or "".
func checkText(field protoreflect.FieldDescriptor, text string) string {
	if !utf8.ValidString(text) {
		return "must be valid UTF-8"
	}
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind, protoreflect.StringKind, protoreflect.BytesKind:
		return ""
	case protoreflect.BoolKind:
		if text != "true" && text != "false" {
			return "must be true or false"
		}
		return ""
	case protoreflect.EnumKind:
		if field.Enum().Values().ByName(protoreflect.Name(text)) == nil {
			return "must be one of " + strings.Join(enumNames(field.Enum()), ", ")
		}
		return ""
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return checkNumber(field.Kind(), text)
	default:
		if strings.ContainsAny(text, ".eE") { // JSON may spell 1 as 1.0; a query may not
			return "must be a whole number"
		}
		return checkNumber(field.Kind(), text)
	}
}

// enumNames lists what may be said of an enum: its values but the zero one,
// which only stands for nothing said.
func enumNames(enum protoreflect.EnumDescriptor) []string {
	var names []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			names = append(names, string(value.Name()))
		}
	}
	return names
}
