package rpcserver

import (
	"errors"
	"strconv"
	"strings"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// validate changes the ids of a message to lower case, and checks the message against
// the rules in its contract. Its fault names every bad field as in JSON. It checks
// sizes first, and nothing else when they are wrong, because they bound the work of the
// other checks.
func (c *chain) validate(message any) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	if f := c.sizes.check(m.ProtoReflect()); f != nil {
		return f
	}
	lowerIDs(m.ProtoReflect())
	err := c.validator.Validate(m)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the request could not be checked")
	}
	var broken fault.Collector
	for _, violation := range invalid.Violations {
		broken.Add(jsonPath(violation.Proto.GetField()), violation.Proto.GetMessage())
	}
	return broken.Fault()
}

// jsonPath returns a field path as in JSON, for example "tools[1].toolName".
func jsonPath(path *validate.FieldPath) string {
	var b strings.Builder
	for i, element := range path.GetElements() {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(fault.FieldName(element.GetFieldName()))
		switch element.GetSubscript().(type) {
		case *validate.FieldPathElement_Index:
			b.WriteString("[" + strconv.FormatUint(element.GetIndex(), 10) + "]")
		case *validate.FieldPathElement_StringKey:
			b.WriteString("[" + strconv.Quote(element.GetStringKey()) + "]")
		default:
		}
	}
	return b.String()
}
