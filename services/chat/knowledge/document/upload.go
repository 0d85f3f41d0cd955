package document

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

type uploadStream = grpc.ClientStreamingServer[knowledgev1.UploadDocumentRequest, knowledgev1.Document]

// UploadDocument implements the RPC. The bytes are held in memory: what is over
// the limit is refused when the limit is passed, not when all of it has come.
func (s *Service) UploadDocument(stream uploadStream) error {
	ctx := stream.Context()
	caller, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	d, err := receiveHeader(stream)
	if err != nil {
		return err
	}
	d.OrganizationID = caller.OrganizationID
	// Before the bytes: nobody should send 32 MiB to learn that there is no such
	// collection.
	if err := s.store.checkCollection(ctx, d.OrganizationID, d.CollectionID); err != nil {
		return err
	}
	content, err := receiveContent(stream)
	if err != nil {
		return err
	}
	out, err := rpcserver.Once(ctx, s.answers, knowledgev1.DocumentService_UploadDocument_FullMethodName, digest(d, content),
		&knowledgev1.Document{}, func(ctx context.Context) (*knowledgev1.Document, error) {
			return reply(s.takeIn(ctx, caller, d, content))
		})
	if err != nil {
		return err
	}
	return stream.SendAndClose(out)
}

// digest tells uploads apart that carry the same Idempotency-Key.
func digest(d Document, content []byte) []byte {
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(d.CollectionID), []byte(d.Title), []byte(d.ContentType), content} {
		// With its length, or parts could be cut elsewhere and make the same sum.
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write(part)
	}
	return sum.Sum(nil)
}

func receiveHeader(stream uploadStream) (Document, error) {
	part, err := stream.Recv()
	if err != nil && !errors.Is(err, io.EOF) {
		return Document{}, err
	}
	header := part.GetHeader()
	if header == nil {
		return Document{}, fault.Invalid("header", "must come first")
	}
	d := Document{
		CollectionID: header.GetCollectionId(),
		Title:        TitleOf(header.GetTitle(), header.GetFileName()),
		ContentType:  header.GetContentType(),
	}
	if d.ContentType == "" {
		d.ContentType = ContentType(header.GetFileName())
	}
	return d, d.Validate("header.title")
}

func receiveContent(stream uploadStream) ([]byte, error) {
	// Not the zero buffer: no bytes at all are stored as such, not as NULL.
	content := bytes.NewBuffer([]byte{})
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return content.Bytes(), nil
		}
		if err != nil {
			return nil, err
		}
		if part.GetHeader() != nil {
			return nil, fault.Invalid("header", "must come once")
		}
		if err := CheckSize(content.Len() + len(part.GetChunk())); err != nil {
			return nil, err
		}
		content.Write(part.GetChunk())
	}
}
