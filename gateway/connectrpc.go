package gateway

import (
	"fmt"
	"net/http"

	"connectrpc.com/vanguard"
)

// newConnect returns the handler of Connect calls, JSON and binary: vanguard
// translates them to gRPC, and the proxy carries them on. Its message limit is
// set, since its default is 4 GiB.
func (g *Gateway) newConnect() (http.Handler, error) {
	var services []*vanguard.Service
	known := map[string]bool{}
	for _, m := range g.table.methods {
		if known[m.service] {
			continue
		}
		known[m.service] = true
		services = append(services, vanguard.NewService(m.service, http.HandlerFunc(g.passThrough),
			vanguard.WithTargetProtocols(vanguard.ProtocolGRPC),
			vanguard.WithTargetCodecs(vanguard.CodecProto),
			// Unpacked here, under the limit, so that no service meets a bomb.
			vanguard.WithNoTargetCompression(),
			vanguard.WithMaxMessageBufferBytes(BodyLimit),
		))
	}
	transcoder, err := vanguard.NewTranscoder(services,
		vanguard.WithCompression(vanguard.CompressionGzip, newGzip, newGunzip),
		vanguard.WithCodec(newJSONCodec))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return transcoder, nil
}

// serveConnect translates a Connect call. The version header is optional in
// the protocol, and a call by hand has none; vanguard would take it for REST.
func (g *Gateway) serveConnect(w http.ResponseWriter, r *http.Request) {
	const version = "Connect-Protocol-Version"
	if r.Method == http.MethodPost && r.Header.Get(version) == "" {
		r = r.Clone(r.Context())
		r.Header.Set(version, "1")
	}
	g.connect.ServeHTTP(w, r)
}
