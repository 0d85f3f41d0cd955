package main

import (
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

// rulesOf returns protovalidate's rules of a field, or nil without rules.
func rulesOf(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

// isRequired reports whether validation fails when a client omits the field.
func isRequired(field protoreflect.FieldDescriptor) bool {
	rules := rulesOf(field)
	if rules.GetIgnore() != validate.Ignore_IGNORE_UNSPECIFIED {
		return false
	}
	text := rules.GetString()
	return rules.GetRequired() || text.GetMinLen() > 0 || text.GetUuid() || text.GetEmail() ||
		rules.GetRepeated().GetMinItems() > 0
}

// oneLine is gatehouse.options.v1.single_line as a pattern of JSON Schema.
const oneLine = "^[^\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]*$"

// limit adds the rules that JSON Schema can express.
func limit(schema object, rules *validate.FieldRules) {
	limitText(schema, rules.GetString())
	limitList(schema, rules.GetRepeated())
	if r := rules.GetInt32(); r != nil {
		if r.HasGte() {
			schema["minimum"] = r.GetGte()
		}
		if r.HasLte() {
			schema["maximum"] = r.GetLte()
		}
	}
	if r := rules.GetDouble(); r != nil {
		if r.HasGte() {
			schema["minimum"] = r.GetGte()
		}
		if r.HasLte() {
			schema["maximum"] = r.GetLte()
		}
	}
}

func limitText(schema object, r *validate.StringRules) {
	if r == nil {
		return
	}
	if r.HasMinLen() {
		schema["minLength"] = r.GetMinLen()
	}
	if r.HasMaxLen() {
		schema["maxLength"] = r.GetMaxLen()
	}
	if r.HasPattern() {
		schema["pattern"] = r.GetPattern()
	}
	if single, _ := proto.GetExtension(r, optionsv1.E_SingleLine).(bool); single {
		schema["pattern"] = oneLine
	}
	if r.GetUuid() {
		schema["format"] = "uuid"
	}
	if r.GetEmail() {
		schema["format"] = "email"
	}
	if in := r.GetIn(); len(in) > 0 {
		schema["enum"] = in
	}
}

func limitList(schema object, r *validate.RepeatedRules) {
	if r == nil {
		return
	}
	if r.HasMinItems() {
		schema["minItems"] = r.GetMinItems()
	}
	if r.HasMaxItems() {
		schema["maxItems"] = r.GetMaxItems()
	}
	if r.GetUnique() {
		schema["uniqueItems"] = true
	}
}

// orEmpty allows "" if validation ignores it.
func orEmpty(schema object, rules *validate.FieldRules) object {
	_, format := schema["format"]
	_, pattern := schema["pattern"]
	if rules.GetIgnore() != validate.Ignore_IGNORE_IF_ZERO_VALUE || schema["type"] != "string" || !format && !pattern {
		return schema
	}
	return object{"anyOf": []object{schema, {"const": ""}}}
}
