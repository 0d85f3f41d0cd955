package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/proto/catalog"
	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

// named reports whether a field is a name or a title.
func named(field protoreflect.FieldDescriptor) bool {
	name := string(field.Name())
	return field.Kind() == protoreflect.StringKind &&
		(name == "name" || name == "title" || name == "label" || strings.HasSuffix(name, "_name") || strings.HasSuffix(name, "_title"))
}

// shown are names that only the server sets, in messages that a request may also have.
var shown = []string{"gatehouse.auth.v1.OrganizationMembership.display_name"}

// S88: every name that a client sends is one line of text.
func TestS88EveryNameIsOneLine(t *testing.T) {
	t.Parallel()
	seen, found := map[protoreflect.FullName]bool{}, 0
	var walk func(message protoreflect.MessageDescriptor)
	walk = func(message protoreflect.MessageDescriptor) {
		if seen[message.FullName()] || !strings.HasPrefix(string(message.FullName()), "gatehouse.") {
			return
		}
		seen[message.FullName()] = true
		for i := range message.Fields().Len() {
			field := message.Fields().Get(i)
			if field.Message() != nil {
				walk(field.Message())
			}
			if !named(field) || slices.Contains(shown, string(field.FullName())) {
				continue
			}
			found++
			rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
			if single, _ := proto.GetExtension(rules.GetString(), optionsv1.E_SingleLine).(bool); !single {
				t.Errorf("%s: a name needs [gatehouse.options.v1.single_line]: true", field.FullName())
			}
		}
	}
	for _, m := range catalog.Methods() {
		if m.Public {
			walk(m.Descriptor.Input())
		}
	}
	if found < 15 {
		t.Errorf("only %d names: the walk finds too few", found)
	}
}
