package rpcserver

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/gatehouse/gatehouse/platform/authz"
)

// MetadataStreamAccepted is the response header of an accepted stream. The server
// sends it with SendHeader or with the first message. A refused stream never has it.
// Other headers do not show acceptance, because a refusal carries the caller's rate
// limit.
const MetadataStreamAccepted = "x-gatehouse-stream-accepted"

// checkedStream decodes and validates each message that the client sends, marks the
// stream as accepted when the handler first sends something, and carries the context
// that the chain has built. Like every stream, it has one sender and one receiver.
type checkedStream struct {
	grpc.ServerStream
	ctx      context.Context //nolint:containedctx // how grpc passes a stream's context
	chain    *chain
	rule     authz.Rule
	accepted bool

	// A handler may return while one of its goroutines still waits for a message.
	mu   sync.Mutex
	last any // the last message that the client sent
}

// received returns the last message that the client sent.
func (s *checkedStream) received() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Context implements [grpc.ServerStream].
func (s *checkedStream) Context() context.Context { return s.ctx }

// RecvMsg implements [grpc.ServerStream].
func (s *checkedStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	s.mu.Lock()
	s.last = m
	s.mu.Unlock()
	return s.chain.read(s.ctx, m, s.rule)
}

// SendHeader implements [grpc.ServerStream].
func (s *checkedStream) SendHeader(md metadata.MD) error {
	s.accepted = true
	return s.ServerStream.SendHeader(metadata.Join(md, acceptance()))
}

// SendMsg implements [grpc.ServerStream].
func (s *checkedStream) SendMsg(m any) error {
	if !s.accepted {
		s.accepted = true
		if err := s.SetHeader(acceptance()); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(m)
}

func acceptance() metadata.MD { return metadata.Pairs(MetadataStreamAccepted, "1") }
