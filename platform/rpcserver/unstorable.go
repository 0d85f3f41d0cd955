package rpcserver

import (
	"sort"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// nameNUL adds the fields that contain a NUL to an INVALID_ARGUMENT that names no field.
// The database rejects a NUL, but does not know the field. Searching only after such an
// error keeps other requests cheap.
func nameNUL(message any, err error) error {
	f := fault.From(err)
	m, ok := message.(proto.Message)
	if !ok || f == nil || f.Reason() != faultv1.Reason_REASON_INVALID_ARGUMENT || len(f.Violations()) > 0 {
		return err
	}
	paths := withNUL(m.ProtoReflect(), "")
	if len(paths) == 0 {
		return err
	}
	sort.Strings(paths)
	var broken fault.Collector
	for _, path := range paths {
		broken.Add(path, "contains a NUL, which cannot be stored")
	}
	return f.WithViolations(&broken)
}

// withNUL returns the paths, as in JSON, of the texts that contain a NUL.
func withNUL(m protoreflect.Message, prefix string) []string {
	var out []string
	look := func(field protoreflect.FieldDescriptor, value protoreflect.Value, path string) {
		if field.Kind() == protoreflect.StringKind && strings.Contains(value.String(), "\x00") {
			out = append(out, path)
		} else if field.Message() != nil {
			out = append(out, withNUL(value.Message(), path+".")...)
		}
	}
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		path := prefix + field.JSONName()
		switch {
		case field.IsMap(): // no request has one
		case field.IsList():
			for i := range value.List().Len() {
				look(field, value.List().Get(i), path+"["+strconv.Itoa(i)+"]")
			}
		default:
			look(field, value, path)
		}
		return true
	})
	return out
}
