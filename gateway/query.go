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

// checkQuery refuses unknown query parameters and values that do not fit their field, and
// names each. grpc-gateway would ignore unknown parameters, and then a misspelled filter
// would list everything. It returns the query in which the paths of field masks have the
// names of the contract.
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

// checkParameter returns a parameter as the services expect it, and what is wrong with it
// or "".
func (r *route) checkParameter(field protoreflect.FieldDescriptor, text string) (converted, problem string) {
	if m := field.Message(); m == nil || m.FullName() != "google.protobuf.FieldMask" {
		return text, checkText(field, text)
	}
	paths := strings.Split(text, ",")
	for i, path := range paths {
		name, ok := maskPath(r.bodyMessage(), path)
		if !ok {
			return text, "names no field: " + strconv.Quote(path)
		}
		paths[i] = name
	}
	return strings.Join(paths, ","), ""
}

// maskPath converts a path of a field mask from the lowerCamelCase of JSON to the names
// of the contract. It reports false when a field does not exist. "*" means all fields
// (AIP-134).
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

// fieldByName returns the field with a name in JSON, or else in the contract.
func fieldByName(m protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if field := m.Fields().ByJSONName(name); field != nil {
		return field
	}
	return m.Fields().ByName(protoreflect.Name(name))
}

// queryField returns the field of the request that a query parameter sets. Fields that
// the path or the body fills have no parameter.
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

// checkText returns what is wrong with a value that is given as text, or "".
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
		if strings.ContainsAny(text, ".eE") { // JSON allows 1.0 for 1; a query does not
			return "must be a whole number"
		}
		return checkNumber(field.Kind(), text)
	}
}

// enumNames returns the values of an enum, without the zero value, which means that none
// is set.
func enumNames(enum protoreflect.EnumDescriptor) []string {
	var names []string
	for i := range enum.Values().Len() {
		if value := enum.Values().Get(i); value.Number() != 0 {
			names = append(names, string(value.Name()))
		}
	}
	return names
}
