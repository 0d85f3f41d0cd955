package document

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

type uploadStream = grpc.ClientStreamingServer[knowledgev1.UploadDocumentRequest, knowledgev1.Document]

// UploadDocument implements the RPC. The bytes go to a file as they arrive, so
// uploads hold no memory. A document over the limit is refused as soon as it
// passes the limit, not at its end. An upload that takes too long, or stalls, is
// ended, so that it makes room for others.
func (s *Service) UploadDocument(stream uploadStream) error {
	ctx := stream.Context()
	caller, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	leave, err := s.budget.upload(caller.UserID)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := untilTooLate(ctx)
	defer cancel()
	parts := receive(stream, s.clock)
	defer parts.stop()
	d, err := receiveHeader(ctx, parts)
	if err != nil {
		return err
	}
	d.OrganizationID = caller.OrganizationID
	// Before the bytes: nobody should send 32 MiB to learn that there is no such
	// collection.
	if err := s.store.checkCollection(ctx, d.OrganizationID, d.CollectionID); err != nil {
		return err
	}
	spool, err := newSpool(s.spool)
	if err != nil {
		return err
	}
	defer spool.close()
	sum := sha256.New()
	if err := receiveContent(ctx, parts, io.MultiWriter(spool, sum), limitOf(d.ContentType)); err != nil {
		return err
	}
	out, err := rpcserver.Once(ctx, s.answers, knowledgev1.DocumentService_UploadDocument_FullMethodName, digest(d, sum),
		&knowledgev1.Document{}, func(ctx context.Context) (*knowledgev1.Document, error) {
			// As long as the upload may take: to send all of it again would cost more.
			return reply(s.takeIn(ctx, caller, d, spool.source(), uploadTimeout))
		})
	if err != nil {
		return err
	}
	return stream.SendAndClose(out)
}

// digest distinguishes uploads that carry the same Idempotency-Key, by their
// description and by the hash of their content.
func digest(d Document, content hash.Hash) []byte {
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(d.CollectionID), []byte(d.Title), []byte(d.ContentType), content.Sum(nil)} {
		// With its length, or parts could be cut elsewhere and make the same sum.
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write(part)
	}
	return sum.Sum(nil)
}

func receiveHeader(ctx context.Context, parts *receiver) (Document, error) {
	part, err := parts.next(ctx)
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

// limitOf returns how large a document of a content type may be, in bytes. The
// bytes of plain text and Markdown are the text itself, and text has a lower
// limit than documents.
func limitOf(contentType string) int {
	limits := parse.DefaultLimits()
	if parse.IsText(contentType) {
		return limits.TextBytes
	}
	return limits.Bytes
}

// receiveContent copies the bytes as they arrive.
func receiveContent(ctx context.Context, parts *receiver, to io.Writer, limit int) error {
	for size := 0; ; {
		part, err := parts.next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if part.GetHeader() != nil {
			return fault.Invalid("header", "must come once")
		}
		if size += len(part.GetChunk()); size > limit {
			return sizeFault(limit)
		}
		if _, err := to.Write(part.GetChunk()); err != nil {
			return err //nolint:wrapcheck // the spool words it
		}
	}
}
