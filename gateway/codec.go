package gateway

import (
	"connectrpc.com/vanguard"
	"google.golang.org/protobuf/proto"
)

// jsonCodec is vanguard's, but for a message that cannot be read: it is its
// sender's mistake, and is not told in the words of a library.
type jsonCodec struct {
	*vanguard.JSONCodec
	most int // of the values of a message
}

func newJSONCodec(most int) func(vanguard.TypeResolver) vanguard.Codec {
	return func(types vanguard.TypeResolver) vanguard.Codec {
		return jsonCodec{vanguard.NewJSONCodec(types), most}
	}
}

// Unmarshal implements vanguard.Codec.
func (c jsonCodec) Unmarshal(text []byte, m proto.Message) error {
	if f := checkShape(text, c.most); f != nil {
		return connectError(f)
	}
	if err := c.JSONCodec.Unmarshal(text, m); err != nil {
		return connectError(unreadable())
	}
	return nil
}
