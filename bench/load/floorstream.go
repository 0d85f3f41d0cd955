package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
)

// bareStream is a bare gRPC stream: the product's own messages, made on the
// spot, with nothing around the RPC and nothing behind it.
type bareStream struct {
	chatv1.UnimplementedRunServiceServer
}

// WatchRun sends as many deltas as after_seq says.
func (bareStream) WatchRun(req *chatv1.WatchRunRequest, stream grpc.ServerStreamingServer[chatv1.RunEvent]) error {
	words := strings.Fields(question)
	for n := range req.GetAfterSeq() {
		err := stream.Send(&chatv1.RunEvent{
			RunId: req.GetRunId(), Seq: n + 1, Time: timestamppb.New(clock.System().Now()),
			Event: &chatv1.RunEvent_MessageDelta{MessageDelta: &chatv1.MessageDelta{Text: " " + words[int(n)%len(words)]}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// bareClient reads bare streams, over one connection as the gateway does.
type bareClient struct {
	conn *grpc.ClientConn
	runs chatv1.RunServiceClient
}

func dialBare(address string) (*bareClient, error) {
	//nolint:forbidigo // the floor is bare on purpose
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	return &bareClient{conn: conn, runs: chatv1.NewRunServiceClient(conn)}, nil
}

func (c *bareClient) close() error { return c.conn.Close() }

// read follows one stream to its end.
func (c *bareClient) read(ctx context.Context, tokens int) (answer, error) {
	out := answer{asked: clock.System().Now()}
	stream, err := c.runs.WatchRun(ctx, &chatv1.WatchRunRequest{
		RunId: "0192d1a0-0000-7000-8000-000000000000", AfterSeq: int32(tokens), //nolint:gosec // a flag's value
	})
	if err != nil {
		return out, err
	}
	for {
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return out, err
		}
		if out.tokens++; out.tokens == 1 {
			out.first = clock.System().Now()
		}
	}
	out.ended = clock.System().Now()
	if out.tokens != tokens {
		return out, fmt.Errorf("floor: %d messages instead of %d", out.tokens, tokens)
	}
	return out, nil
}
