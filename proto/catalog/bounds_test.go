package catalog_test

import (
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/proto/catalog"
)

// S82: every list, map, text and bytes field of every request has an upper bound in the
// contract. The servers check the bounds before anything else, so the contract limits the
// cost of a request.
func TestS82EveryFieldOfEveryRequestIsBounded(t *testing.T) {
	t.Parallel()
	seen := map[protoreflect.FullName]bool{}
	fields := 0
	var walk func(message protoreflect.MessageDescriptor)
	walk = func(message protoreflect.MessageDescriptor) {
		// The servers bound the messages of protobuf itself (rpcserver/sizes.go).
		if seen[message.FullName()] || message.ParentFile().Package() == "google.protobuf" {
			return
		}
		seen[message.FullName()] = true
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
			if fields++; !bounded(field, rules) {
				t.Errorf("%s has no upper bound", field.FullName())
			}
			if field.Message() != nil {
				walk(field.Message())
			}
		}
	}
	for _, m := range catalog.Methods() {
		walk(m.Descriptor.Input())
	}
	if fields < 200 {
		t.Errorf("only %d fields were checked", fields)
	}
}

// bounded reports whether the rules bound a field, and each of its items.
func bounded(field protoreflect.FieldDescriptor, rules *validate.FieldRules) bool {
	switch {
	case field.IsMap():
		pairs := rules.GetMap()
		return pairs.GetMaxPairs() > 0 && scalarBounded(field.MapKey(), pairs.GetKeys()) && scalarBounded(field.MapValue(), pairs.GetValues())
	case field.IsList():
		return rules.GetRepeated().GetMaxItems() > 0 && scalarBounded(field, rules.GetRepeated().GetItems())
	default:
		return scalarBounded(field, rules)
	}
}

func scalarBounded(field protoreflect.FieldDescriptor, rules *validate.FieldRules) bool {
	switch field.Kind() {
	case protoreflect.StringKind:
		text := rules.GetString()
		return text.MaxLen != nil || text.GetMaxBytes() > 0 || text.GetLen() > 0 || text.GetUuid() || text.GetHostname() ||
			text.GetPattern() != "" || len(text.GetIn()) > 0
	case protoreflect.BytesKind:
		return rules.GetBytes().GetMaxLen() > 0 || rules.GetBytes().GetLen() > 0
	default:
		return true
	}
}
