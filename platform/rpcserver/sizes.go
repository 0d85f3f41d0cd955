package rpcserver

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

const (
	// maxMaskPaths bounds the paths of a field mask.
	maxMaskPaths = 100
	// maxText bounds, in bytes, a text whose contract sets its format but not its size,
	// such as a UUID.
	maxText = 64 << 10
	// maxStructValues bounds the values in a google.protobuf.Struct.
	maxStructValues = 10_000
)

// sizes contains the largest size of each field, from the contracts. The validator
// checks every item of a list before it reports that the list is too long. So sizes are
// checked first, and the validator only sees messages within their bounds. The map is
// built once and only read afterwards.
type sizes map[protoreflect.FullName][]fieldSize

// fieldSize is the largest size of a field.
type fieldSize struct {
	field protoreflect.FieldDescriptor
	// maxItems bounds a list or a map; nil when the contract sets no bound.
	maxItems *uint64
	// value and key bound each value, and each key of a map.
	value, key textSize
}

// textSize bounds a text or bytes. Nil means no bound.
type textSize struct{ maxLength, maxBytes *uint64 }

// newSizes reads the bounds of all requests from the contracts.
func newSizes() sizes {
	s := sizes{}
	for _, m := range catalog.Methods() {
		s.add(m.Descriptor.Input())
	}
	return s
}

func (s sizes) add(message protoreflect.MessageDescriptor) {
	if _, known := s[message.FullName()]; known || message.ParentFile().Package() == "google.protobuf" {
		return
	}
	s[message.FullName()] = nil // messages may contain themselves
	var fields []fieldSize
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
		size := sizeOf(field, rules)
		inner := field.Message()
		if field.IsMap() {
			inner = field.MapValue().Message()
		}
		if inner != nil {
			s.add(inner)
		}
		if inner != nil || size.bounds() {
			fields = append(fields, size)
		}
	}
	s[message.FullName()] = fields
}

func sizeOf(field protoreflect.FieldDescriptor, rules *validate.FieldRules) fieldSize {
	size := fieldSize{field: field}
	switch {
	case field.IsMap():
		pairs := rules.GetMap()
		if pairs != nil {
			size.maxItems = pairs.MaxPairs
		}
		size.value, size.key = textOf(field.MapValue(), pairs.GetValues()), textOf(field.MapKey(), pairs.GetKeys())
	case field.IsList():
		if items := rules.GetRepeated(); items != nil {
			size.maxItems = items.MaxItems
		}
		size.value = textOf(field, rules.GetRepeated().GetItems())
	default:
		size.value = textOf(field, rules)
	}
	return size
}

func (s fieldSize) bounds() bool {
	return s.maxItems != nil || s.value != textSize{} || s.key != textSize{}
}

func textOf(field protoreflect.FieldDescriptor, rules *validate.FieldRules) textSize {
	var size textSize
	switch field.Kind() {
	case protoreflect.StringKind:
		if text := rules.GetString(); text != nil {
			size = textSize{maxLength: text.MaxLen, maxBytes: text.MaxBytes}
		}
	case protoreflect.BytesKind:
		if raw := rules.GetBytes(); raw != nil {
			size.maxBytes = raw.MaxLen
		}
	default:
		return size
	}
	if size == (textSize{}) {
		size.maxBytes = proto.Uint64(maxText)
	}
	return size
}

// check returns a fault that names the fields that are larger than the contract allows,
// or nil.
func (s sizes) check(message protoreflect.Message) *fault.Fault {
	var broken fault.Collector
	s.message(message, "", &broken)
	return broken.Fault()
}

func (s sizes) message(m protoreflect.Message, prefix string, broken *fault.Collector) {
	if checkWellKnown(m, prefix, broken) {
		return
	}
	for _, size := range s[m.Descriptor().FullName()] {
		if !m.Has(size.field) {
			continue
		}
		path, value := prefix+size.field.JSONName(), m.Get(size.field)
		switch {
		case size.field.IsMap():
			s.pairs(size, value.Map(), path, broken)
		case size.field.IsList():
			s.items(size, value.List(), path, broken)
		default:
			s.single(size.field, size.value, value, path, broken)
		}
	}
}

func (s sizes) items(size fieldSize, list protoreflect.List, path string, broken *fault.Collector) {
	if size.maxItems != nil && uint64(list.Len()) > *size.maxItems { //nolint:gosec // a length is not negative
		broken.Add(path, fmt.Sprintf("must contain no more than %d item(s)", *size.maxItems))
		return
	}
	if size.field.Message() == nil && size.value == (textSize{}) {
		return // numbers need no check
	}
	for i := range list.Len() {
		s.single(size.field, size.value, list.Get(i), path+"["+strconv.Itoa(i)+"]", broken)
	}
}

func (s sizes) pairs(size fieldSize, pairs protoreflect.Map, path string, broken *fault.Collector) {
	if size.maxItems != nil && uint64(pairs.Len()) > *size.maxItems { //nolint:gosec // as above
		broken.Add(path, fmt.Sprintf("map must be at most %d entries", *size.maxItems))
		return
	}
	pairs.Range(func(key protoreflect.MapKey, value protoreflect.Value) bool {
		inner := path + "[" + strconv.Quote(key.String()) + "]"
		s.single(size.field.MapKey(), size.key, key.Value(), inner, broken)
		s.single(size.field.MapValue(), size.value, value, inner, broken)
		return true
	})
}

func (s sizes) single(field protoreflect.FieldDescriptor, size textSize, value protoreflect.Value, path string, broken *fault.Collector) {
	switch {
	case field.Message() != nil:
		s.message(value.Message(), path+".", broken)
	case field.Kind() == protoreflect.BytesKind:
		size.check(len(value.Bytes()), nil, path, broken)
	case field.Kind() == protoreflect.StringKind:
		text := value.String()
		size.check(len(text), func() int { return utf8.RuneCountInString(text) }, path, broken)
	default:
	}
}

// check compares a length in bytes and in characters. It counts characters only
// when there may be too many.
func (t textSize) check(length int, characters func() int, path string, broken *fault.Collector) {
	size := uint64(length) //nolint:gosec // a length is not negative
	if t.maxBytes != nil && size > *t.maxBytes {
		broken.Add(path, fmt.Sprintf("must be at most %d bytes", *t.maxBytes))
		return
	}
	if t.maxLength != nil && size > *t.maxLength && uint64(characters()) > *t.maxLength { //nolint:gosec // as above
		broken.Add(path, fmt.Sprintf("must be at most %d characters", *t.maxLength))
	}
}

// checkWellKnown bounds the well-known messages of protobuf, whose contracts
// set no bounds. It reports whether m is one of them.
func checkWellKnown(m protoreflect.Message, prefix string, broken *fault.Collector) bool {
	path := prefix
	if path != "" {
		path = prefix[:len(prefix)-1] // without its dot
	}
	switch m.Descriptor().FullName() {
	case "google.protobuf.FieldMask":
		if m.Get(m.Descriptor().Fields().ByName("paths")).List().Len() > maxMaskPaths {
			broken.Add(path, fmt.Sprintf("must name no more than %d fields", maxMaskPaths))
		}
	case "google.protobuf.Struct", "google.protobuf.ListValue", "google.protobuf.Value":
		left := maxStructValues
		if !fewValues(m, &left) {
			broken.Add(path, fmt.Sprintf("must contain no more than %d values", maxStructValues))
		}
	default:
		return m.Descriptor().ParentFile().Package() == "google.protobuf"
	}
	return true
}

// fewValues counts the values in a Struct and reports whether there are at most left.
// It stops when there are more.
func fewValues(m protoreflect.Message, left *int) bool {
	few := true
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsMap():
			value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				*left--
				few = *left >= 0 && fewValues(v.Message(), left)
				return few
			})
		case field.IsList():
			for i := 0; i < value.List().Len() && few; i++ {
				*left--
				few = *left >= 0 && fewValues(value.List().Get(i).Message(), left)
			}
		case field.Message() != nil:
			few = fewValues(value.Message(), left)
		default:
		}
		return few
	})
	return few
}
