package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // the codec that is wrapped
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// PublicLimit is the largest request that the gateway forwards to a public RPC, in
	// bytes.
	PublicLimit = 64 << 10
	// maxPublic is the same limit in this server. JSON grows when it becomes a
	// google.protobuf.Struct: a number of one digit takes eleven bytes.
	maxPublic = 8 * PublicLimit
	// maxDepth is how deep messages may nest. It admits the 64 levels of JSON that
	// the gateway accepts: one level of JSON is three levels of a
	// google.protobuf.Struct.
	maxDepth = 256
	// maxFields is how many fields a message and its nested messages may have together.
	// A field of two bytes may need a hundred times as much memory after decoding. The
	// limit admits all JSON that the gateway accepts: one value of JSON is four fields
	// of a google.protobuf.Struct.
	maxFields = 50_000
	// undecoded is the number of the field that stores an undecoded request. No
	// contract uses it. The codec wraps everything that clients send, so no client
	// can forge it.
	undecoded = protowire.MaxValidNumber
	// ownMessages is the prefix of the names of the messages that the chain
	// decodes.
	ownMessages = "gatehouse."
)

// lateCodec is gRPC's codec, but does not decode the messages of Gatehouse's contracts.
// grpc-go decodes a request before any interceptor runs, so without this codec a caller
// without credentials could make it decode 8 MiB. The chain decodes the
// message after it has authorized the caller.
type lateCodec struct{ encoding.CodecV2 }

func newLateCodec() (lateCodec, error) {
	codec := encoding.GetCodecV2("proto")
	if codec == nil {
		return lateCodec{}, errors.New("rpcserver: gRPC has no codec for protobuf")
	}
	return lateCodec{codec}, nil
}

// Unmarshal implements [encoding.CodecV2].
func (c lateCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok || !strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), ownMessages) {
		return c.CodecV2.Unmarshal(data, v)
	}
	size := data.Len()
	head := protowire.AppendTag(nil, undecoded, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(size)) //nolint:gosec // a length is not negative
	raw := make([]byte, len(head)+size)
	copy(raw, head)
	data.CopyTo(raw[len(head):])
	m.ProtoReflect().SetUnknown(raw)
	return nil
}

// decode decodes a message that the codec left undecoded. It drops the fields that are
// not in the contract.
func decode(ctx context.Context, message any, rule authz.Rule) error {
	m, ok := message.(proto.Message)
	if !ok {
		return nil
	}
	raw, ok := takeUndecoded(m.ProtoReflect())
	if !ok {
		return nil
	}
	if rule.Public && len(raw) > maxPublic {
		return fault.New(faultv1.Reason_REASON_PAYLOAD_TOO_LARGE, "the message is over %d KiB", maxPublic>>10)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	left := maxFields
	if !fewFields(raw, m.ProtoReflect().Descriptor(), &left) {
		return fault.New(faultv1.Reason_REASON_INVALID_ARGUMENT, "the message contains more than %d values", maxFields)
	}
	options := proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}
	if err := options.Unmarshal(raw, m); err != nil {
		return unreadable(err, raw, m.ProtoReflect())
	}
	return nil
}

// fewFields counts the fields of an undecoded message and of its nested messages, and
// reports whether there are at most left. It stops when there are more, and when the
// message cannot be read; the decoder then returns the error.
func fewFields(raw []byte, m protoreflect.MessageDescriptor, left *int) bool {
	for len(raw) > 0 {
		if *left--; *left < 0 {
			return false
		}
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return true
		}
		raw = raw[n:]
		if n = protowire.ConsumeFieldValue(number, kind, raw); n < 0 {
			return true
		}
		if field := m.Fields().ByNumber(number); kind == protowire.BytesType && field != nil && field.Message() != nil {
			inner, _ := protowire.ConsumeBytes(raw)
			if !fewFields(inner, field.Message(), left) {
				return false
			}
		}
		raw = raw[n:]
	}
	return true
}

// takeUndecoded removes the undecoded request from a message and returns it.
func takeUndecoded(m protoreflect.Message) ([]byte, bool) {
	unknown := m.GetUnknown()
	number, kind, n := protowire.ConsumeTag(unknown)
	if n < 0 || number != undecoded || kind != protowire.BytesType {
		return nil, false
	}
	raw, n := protowire.ConsumeBytes(unknown[n:])
	if n < 0 {
		return nil, false
	}
	m.SetUnknown(nil)
	return raw, true
}

// unreadable returns the fault for a request that cannot be decoded. It names the first
// bad field, which the decoder's error does not.
func unreadable(err error, raw []byte, m protoreflect.Message) error {
	f := fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "the message cannot be read")
	for len(raw) > 0 {
		number, _, n := protowire.ConsumeField(raw)
		if n < 0 {
			return f
		}
		field := m.Descriptor().Fields().ByNumber(number)
		if field != nil && unmarshalAlone(raw[:n], m) != nil {
			var broken fault.Collector
			broken.Add(field.JSONName(), fmt.Sprintf("cannot be read: it is malformed, or nests deeper than %d messages", maxDepth))
			return fault.Wrap(err, faultv1.Reason_REASON_INVALID_ARGUMENT, "%s", broken.Fault().Detail()).WithViolations(&broken)
		}
		raw = raw[n:]
	}
	return f
}

func unmarshalAlone(field []byte, m protoreflect.Message) error {
	options := proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}
	return options.Unmarshal(field, m.New().Interface())
}
