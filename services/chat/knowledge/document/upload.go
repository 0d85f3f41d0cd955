package document

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"google.golang.org/grpc"

	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/platform/rpcserver"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

type uploadStream = grpc.ClientStreamingServer[knowledgev1.UploadDocumentRequest, knowledgev1.Document]

// UploadDocument implements the RPC. It writes the bytes to a file as they arrive, so
// uploads use little memory. It refuses a document as soon as the document is larger than
// the limit. It ends an upload that takes too long or stalls, to make room for others.
func (s *Service) UploadDocument(stream uploadStream) error {
	ctx := stream.Context()
	caller, err := identity.Require(ctx)
	if err != nil {
		return err
	}
	leave, err := s.deps.Budget.upload(caller.UserID)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := withUploadTimeout(ctx)
	defer cancel()
	parts := receive(stream, s.deps.Clock)
	defer parts.stop()
	d, err := receiveHeader(ctx, parts)
	if err != nil {
		return err
	}
	d.OrganizationID = caller.OrganizationID
	// The collection is checked before the bytes arrive, so that no client sends 32 MiB for
	// a collection that does not exist.
	if err := s.store.checkCollection(ctx, d.OrganizationID, d.CollectionID); err != nil {
		return err
	}
	spool, err := newSpool(s.deps.Spool)
	if err != nil {
		return err
	}
	defer spool.close()
	sum := sha256.New()
	if err := receiveContent(ctx, parts, io.MultiWriter(spool, sum), limitOf(d.ContentType)); err != nil {
		return err
	}
	out, err := rpcserver.Once(ctx, s.deps.Answers, knowledgev1.DocumentService_UploadDocument_FullMethodName, digest(d, sum),
		&knowledgev1.Document{}, func(ctx context.Context) (*knowledgev1.Document, error) {
			// It may wait as long as an upload may take, because a retry would send all
			// bytes again.
			d, err := s.add(ctx, caller, d, spool.source(), uploadTimeout)
			return entity.Reply(encode, d, err)
		})
	if err != nil {
		return err
	}
	return stream.SendAndClose(out)
}

// digest distinguishes uploads that have the same Idempotency-Key: it is a hash of their
// description and their content.
func digest(d Document, content hash.Hash) []byte {
	sum := sha256.New()
	for _, part := range [][]byte{[]byte(d.CollectionID), []byte(d.Title), []byte(d.ContentType), content.Sum(nil)} {
		// The length of each part is hashed too. Otherwise different parts could have the
		// same concatenation.
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
		return Document{}, fault.Invalid("header", "must be the first part")
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

// limitOf returns how large a document of a content type may be, in bytes. The bytes of
// plain text and Markdown are the text itself, and the limit of texts is lower than that of
// documents.
func limitOf(contentType string) int {
	limits := parse.DefaultLimits()
	if parse.IsText(contentType) {
		return limits.TextBytes
	}
	return limits.Bytes
}

// receiveContent writes the bytes to a writer as they arrive.
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
			return fault.Invalid("header", "must be sent once")
		}
		if size += len(part.GetChunk()); size > limit {
			return sizeFault(limit)
		}
		if _, err := to.Write(part.GetChunk()); err != nil {
			return err
		}
	}
}
