package gateway

import (
	"connectrpc.com/vanguard"
	"google.golang.org/protobuf/proto"
)

// jsonCodec is the codec of vanguard with other errors: a message that cannot be read is
// a mistake of the client, and the text of a library's error is not sent to clients.
type jsonCodec struct {
	*vanguard.JSONCodec
	most int // the most values that a message may have
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
