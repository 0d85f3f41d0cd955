package main

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// nullable is a schema, or null.
func nullable(schema object) object {
	if kind, ok := schema["type"].(string); ok {
		schema["type"] = []string{kind, "null"}
		return schema
	}
	return object{"anyOf": []object{schema, {"type": "null"}}}
}

// wellKnown returns the schema of a message with its own JSON form.
func wellKnown(name protoreflect.FullName) (object, bool) {
	switch name {
	case "google.protobuf.Timestamp":
		return object{"type": "string", "format": "date-time"}, true
	case "google.protobuf.Duration":
		return object{"type": "string", "examples": []string{"1.5s"}}, true
	case "google.protobuf.FieldMask":
		return object{"type": "string", "examples": []string{"displayName,model"}}, true
	case "google.protobuf.Struct":
		return object{"type": "object", "additionalProperties": true}, true
	case "google.protobuf.Value":
		return object{"description": "Any JSON value."}, true
	default:
		return nil, false
	}
}

// reference returns a reference to the schema of a message or an enum, and adds the schema
// to the components.
func (g *generator) reference(d protoreflect.Descriptor) object {
	if schema, ok := wellKnown(d.FullName()); ok {
		return schema
	}
	name := strings.TrimPrefix(string(d.FullName()), string(d.ParentFile().Package())+".")
	if have, taken := g.names[name]; taken && have != d.FullName() {
		g.complain("%s and %s would share a schema", have, d.FullName())
	}
	if _, done := g.names[name]; !done {
		g.names[name] = d.FullName()
		switch d := d.(type) {
		case protoreflect.MessageDescriptor:
			g.schemas[name] = object{} // for messages that contain themselves
			g.schemas[name] = g.message(d)
		case protoreflect.EnumDescriptor:
			g.schemas[name] = enum(d)
		}
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// message describes a message. In a request, the fields that validation requires are
// required. In a response, every field that cannot be unset is required.
func (g *generator) message(m protoreflect.MessageDescriptor) object {
	onlySent := g.requests[m.FullName()] && !g.returned[m.FullName()]
	onlyGot := g.returned[m.FullName()] && !g.requests[m.FullName()]
	properties := object{}
	var required []string
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if g.omitted[m.FullName()][string(field.Name())] {
			continue
		}
		properties[field.JSONName()] = g.property(field)
		always := !field.HasOptionalKeyword() && field.ContainingOneof() == nil
		if onlySent && isRequired(field) || onlyGot && always {
			required = append(required, field.JSONName())
		}
	}
	schema := object{"type": "object", "description": commentOf(m), "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		schema["required"] = required
	}
	if onlySent {
		schema["additionalProperties"] = false
	}
	if choices := alternatives(m); len(choices) > 0 {
		schema["oneOf"] = choices
	}
	return schema
}

// alternatives states that exactly one member of a oneof is present.
func alternatives(m protoreflect.MessageDescriptor) []object {
	var out []object
	for i := range m.Oneofs().Len() {
		oneof := m.Oneofs().Get(i)
		if oneof.IsSynthetic() {
			continue
		}
		for j := range oneof.Fields().Len() {
			out = append(out, object{"required": []string{oneof.Fields().Get(j).JSONName()}})
		}
	}
	return out
}

// property describes a field with its comment and its limits.
func (g *generator) property(field protoreflect.FieldDescriptor) object {
	comment := commentOf(field)
	schema := g.value(field)
	rules := rulesOf(field)
	switch {
	case field.IsMap():
		schema = object{"type": "object", "additionalProperties": g.single(field.MapValue())}
	case field.IsList():
		items := g.single(field)
		limit(items, rules.GetRepeated().GetItems())
		schema = object{"type": "array", "items": items}
		limit(schema, rules)
	case field.Message() != nil:
		if field.ContainingOneof() == nil && !rules.GetRequired() {
			schema = nullable(schema)
		}
	default:
		limit(schema, rules)
		schema = orEmpty(schema, rules)
	}
	if comment != "" {
		schema["description"] = comment
	}
	if strings.Contains(comment, "Output only.") {
		schema["readOnly"] = true
	}
	return schema
}

func (g *generator) value(field protoreflect.FieldDescriptor) object {
	if field.IsMap() || field.IsList() {
		return nil
	}
	return g.single(field)
}

// single describes one value of a field.
func (g *generator) single(field protoreflect.FieldDescriptor) object {
	switch field.Kind() {
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	case protoreflect.BytesKind:
		return object{"type": "string", "contentEncoding": "base64"}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return object{"type": "number", "format": "double"}
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return object{"type": "string", "format": "int64"}
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return object{"type": "string", "format": "uint64"}
	case protoreflect.EnumKind:
		return g.reference(field.Enum())
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return g.reference(field.Message())
	default:
		return object{"type": "integer", "format": "int32"}
	}
}

// enum describes an enum by its short names. The zero value means unspecified and is
// never sent.
func enum(e protoreflect.EnumDescriptor) object {
	var names []string
	text := commentOf(e)
	for i := range e.Values().Len() {
		value := e.Values().Get(i)
		if value.Number() == 0 {
			continue
		}
		names = append(names, string(value.Name()))
		text += "\n\n" + string(value.Name()) + ": " + commentOf(value)
	}
	return object{"type": "string", "enum": names, "description": text}
}

// mark adds a message, and every message in it, to the set.
func mark(set map[protoreflect.FullName]bool, m protoreflect.MessageDescriptor) {
	if set[m.FullName()] {
		return
	}
	set[m.FullName()] = true
	for i := range m.Fields().Len() {
		if inner := m.Fields().Get(i).Message(); inner != nil {
			mark(set, inner)
		}
	}
}
