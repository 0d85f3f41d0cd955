package gateway

import (
	"connectrpc.com/vanguard"
	"google.golang.org/protobuf/proto"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// jsonCodec is vanguard's, but for a message that cannot be read: it is its
// sender's mistake, and is not told in the words of a library.
type jsonCodec struct{ *vanguard.JSONCodec }

func newJSONCodec(types vanguard.TypeResolver) vanguard.Codec {
	return jsonCodec{vanguard.NewJSONCodec(types)}
}

// Unmarshal implements vanguard.Codec.
func (c jsonCodec) Unmarshal(text []byte, m proto.Message) error {
	if field, deep := deepField(text); deep {
		return connectError(fault.Invalid(field, "nests deeper than %d levels", maxNesting))
	}
	if err := c.JSONCodec.Unmarshal(text, m); err != nil {
		return connectError(unreadable())
	}
	return nil
}
