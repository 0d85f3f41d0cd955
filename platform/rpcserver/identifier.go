package rpcserver

import (
	"strings"
	"sync"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// lowerIDs changes the ids of a request to lower case, in place. The case of a UUID has
// no meaning (RFC 9562), and the database accepts both. The chain does this before any
// other code sees the request, so all code may compare ids as strings: rules against
// duplicates, the caller's organization, keys of caches.
func lowerIDs(m protoreflect.Message) {
	for _, f := range idFields(m.Descriptor()) {
		if !m.Has(f.field) {
			continue
		}
		switch {
		case f.field.IsList():
			lowerList(f, m.Get(f.field).List())
		case f.id:
			lowerField(m, f.field)
		default:
			lowerIDs(m.Get(f.field).Message())
		}
	}
}

func lowerField(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	if id := m.Get(field).String(); hasUpper(id) {
		m.Set(field, protoreflect.ValueOfString(strings.ToLower(id)))
	}
}

func lowerList(f idField, list protoreflect.List) {
	for i := range list.Len() {
		if !f.id {
			lowerIDs(list.Get(i).Message())
			continue
		}
		if id := list.Get(i).String(); hasUpper(id) {
			list.Set(i, protoreflect.ValueOfString(strings.ToLower(id)))
		}
	}
}

func hasUpper(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' })
}

// idField is a field that is an id, or a message that contains one.
type idField struct {
	field protoreflect.FieldDescriptor
	id    bool
}

// knownIDFields caches the idFields of each message. They depend only on the contract,
// and most messages have none.
var knownIDFields sync.Map //nolint:gochecknoglobals // a cache of facts from the contracts

// idFields returns the fields of a message that lowerIDs must visit.
func idFields(message protoreflect.MessageDescriptor) []idField {
	if known, ok := knownIDFields.Load(message.FullName()); ok {
		fields, _ := known.([]idField)
		return fields
	}
	var out []idField
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		switch {
		case field.IsMap():
		case field.Message() != nil:
			if holdsIDs(field.Message(), map[protoreflect.FullName]bool{}) {
				out = append(out, idField{field: field})
			}
		case isID(field):
			out = append(out, idField{field: field, id: true})
		}
	}
	knownIDFields.Store(message.FullName(), out)
	return out
}

// holdsIDs reports whether there is an id anywhere in a message.
func holdsIDs(message protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool) bool {
	if seen[message.FullName()] {
		return false
	}
	seen[message.FullName()] = true
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if isID(field) || !field.IsMap() && field.Message() != nil && holdsIDs(field.Message(), seen) {
			return true
		}
	}
	return false
}

// isID reports whether a field, or each item of it, is a UUID by its contract.
func isID(field protoreflect.FieldDescriptor) bool {
	if field.Kind() != protoreflect.StringKind || field.IsMap() {
		return false
	}
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if field.IsList() {
		rules = rules.GetRepeated().GetItems()
	}
	return rules.GetString().GetUuid()
}
