package assistant_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// library is a connection to a fake chat service that has some collections, or fails.
type library struct {
	mu    sync.Mutex
	has   []string
	err   error
	asked int
}

var (
	errQuestion = errors.New("the fake only checks collections")
	errStream   = errors.New("the fake has no streams")
)

func (l *library) Invoke(_ context.Context, _ string, args, reply any, _ ...grpc.CallOption) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	req, asked := args.(*knowledgev1.CheckCollectionsRequest)
	out, replied := reply.(*knowledgev1.CheckCollectionsResponse)
	if !asked || !replied {
		return errQuestion
	}
	out.MissingCollectionIds = slices.DeleteFunc(slices.Clone(req.GetCollectionIds()), func(one string) bool { return slices.Contains(l.has, one) })
	return l.err
}

func (*library) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errStream
}

func (l *library) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *library) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// S92: an assistant names only collections of its organization that its writer may
// read.
func TestS92AssistantNamesExistingCollections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held, another := id.New(), id.New()
	b.library.has = []string{held, another}
	ctx := b.As(t, id.New(), "member")
	made := b.create(ctx, t, "Help desk")
	write := map[string]func(ids ...string) (*managementv1.Assistant, error){
		"create": func(ids ...string) (*managementv1.Assistant, error) {
			return b.assistants.CreateAssistant(ctx, &managementv1.CreateAssistantRequest{
				Assistant: &managementv1.Assistant{DisplayName: "Front desk", CollectionIds: ids},
			})
		},
		"update": func(ids ...string) (*managementv1.Assistant, error) {
			return b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{
				Assistant:  &managementv1.Assistant{Id: made.GetId(), CollectionIds: ids},
				UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"collection_ids"}},
			})
		},
		"update without a mask": func(ids ...string) (*managementv1.Assistant, error) {
			return b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{
				Assistant: &managementv1.Assistant{Id: made.GetId(), CollectionIds: ids},
			})
		},
	}
	for name, try := range write {
		_, err := try(held, id.New())
		wantField(t, name+" with an unknown one", err, faultv1.Reason_REASON_NOT_FOUND)
		_, err = try(strings.ToUpper(held), held)
		wantField(t, name+" with two spellings of one", err, faultv1.Reason_REASON_INVALID_ARGUMENT)
		out, err := try(strings.ToUpper(held))
		must(t, err)
		if !slices.Equal(out.GetCollectionIds(), []string{held}) {
			t.Errorf("%s: the collections are %v", name, out.GetCollectionIds())
		}
		for refusal, want := range map[error]faultv1.Reason{
			fault.New(faultv1.Reason_REASON_PERMISSION_DENIED, "no knowledge.read"):  faultv1.Reason_REASON_PERMISSION_DENIED,
			fault.New(faultv1.Reason_REASON_INSUFFICIENT_SCOPE, "no knowledge.read"): faultv1.Reason_REASON_INSUFFICIENT_SCOPE,
			fault.New(faultv1.Reason_REASON_UNAVAILABLE, "chat is down"):             faultv1.Reason_REASON_UNAVAILABLE,
			fault.New(faultv1.Reason_REASON_DEADLINE_EXCEEDED, "chat is slow"):       faultv1.Reason_REASON_UNAVAILABLE,
		} {
			b.library.fail(refusal)
			_, err := try(another)
			if want == faultv1.Reason_REASON_UNAVAILABLE {
				wantReason(t, err, want)
				if fault.From(err).RetryAfter() <= 0 {
					t.Errorf("%s: the fault has no retry delay", name)
				}
			} else {
				wantField(t, name, err, want)
			}
			b.library.fail(nil)
		}
	}
	listed, err := b.assistants.ListAssistants(ctx, &managementv1.ListAssistantsRequest{})
	must(t, err)
	if len(listed.GetAssistants()) != 2 {
		t.Errorf("there are %v", listed.GetAssistants())
	}
}

// Management needs chat only for assistants that name collections.
func TestAssistant_WithoutCollections_NeedsNoChat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.fail(fault.New(faultv1.Reason_REASON_UNAVAILABLE, "chat is down"))
	ctx := b.As(t, id.New(), "member")
	made := b.create(ctx, t, "Help desk")
	_, err := b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{
		Assistant:  &managementv1.Assistant{Id: made.GetId(), Description: "Answers about leave"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description", "collection_ids"}},
	})
	must(t, err)
	if n := b.library.questions(); n != 0 {
		t.Errorf("chat was asked %d times", n)
	}
}

func wantField(t *testing.T, name string, err error, want faultv1.Reason) {
	t.Helper()
	wantReason(t, err, want)
	if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "assistant.collectionIds" {
		t.Errorf("%s: the fault %v names %v", name, err, v)
	}
}

// A form sends the whole list back. A collection of the assistant that was deleted since
// does not prevent the update.
func TestUpdateAssistant_DeletedCollection_IsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.library.has = id.NewEach(2)
	ctx := b.As(t, id.New(), "member")
	made, err := b.assistants.CreateAssistant(ctx, &managementv1.CreateAssistantRequest{
		Assistant: &managementv1.Assistant{DisplayName: "Front desk", CollectionIds: b.library.has},
	})
	must(t, err)
	b.library.has = b.library.has[:1]
	made.DisplayName = "Reception"
	saved, err := b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{Assistant: made})
	if err != nil || saved.GetDisplayName() != "Reception" || len(saved.GetCollectionIds()) != 2 {
		t.Errorf("saved as %v, %v", saved, err)
	}
	saved.CollectionIds = append(saved.CollectionIds, id.New())
	_, err = b.assistants.UpdateAssistant(ctx, &managementv1.UpdateAssistantRequest{Assistant: saved})
	wantField(t, "a new collection that does not exist", err, faultv1.Reason_REASON_NOT_FOUND)
}
