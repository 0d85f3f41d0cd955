package obs

import (
	"log/slog"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Redacted logs a message without the fields that its contract marks with debug_redact.
// The message is formatted only when the line is written.
type Redacted struct{ Message proto.Message }

// LogValue implements [slog.LogValuer].
func (r Redacted) LogValue() slog.Value {
	if r.Message == nil || !r.Message.ProtoReflect().IsValid() {
		return slog.StringValue("null")
	}
	shown := proto.Clone(r.Message)
	hide(shown.ProtoReflect())
	text, err := protojson.Marshal(shown)
	if err != nil {
		return slog.StringValue("[unprintable]")
	}
	return slog.StringValue(string(text))
}

func hide(m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case isRedacted(field):
			conceal(m, field)
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { hide(v.Message()); return true })
			}
		case field.Message() == nil:
		case field.IsList():
			for i := range value.List().Len() {
				hide(value.List().Get(i).Message())
			}
		default:
			hide(value.Message())
		}
		return true
	})
}

func isRedacted(field protoreflect.FieldDescriptor) bool {
	options, ok := field.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDebugRedact()
}

// conceal replaces a string with a fixed text, and clears other values.
func conceal(m protoreflect.Message, field protoreflect.FieldDescriptor) {
	if field.Kind() == protoreflect.StringKind && !field.IsList() {
		m.Set(field, protoreflect.ValueOfString(redactedValue))
		return
	}
	m.Clear(field)
}
