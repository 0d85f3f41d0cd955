package rpcserver_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/rpctest"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	managementv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/management/v1"
)

// An id in upper case is the same id: a rule against duplicates finds it, and handlers
// receive lower case.
func TestRequest_IDsInUpperCase_BecomeLowerCase(t *testing.T) {
	t.Parallel()
	r := start(t, rpctest.Options{})
	var seen []string
	r.handlers.assisted = func(_ context.Context, req *managementv1.CreateAssistantRequest) (*managementv1.Assistant, error) {
		seen = req.GetAssistant().GetCollectionIds()
		return &managementv1.Assistant{}, nil
	}
	create := func(ids ...string) error {
		_, err := r.assistants.CreateAssistant(r.as(t, "member"), &managementv1.CreateAssistantRequest{
			Assistant: &managementv1.Assistant{DisplayName: "New ID", CollectionIds: ids},
		})
		return err
	}
	one, other := id.New(), id.New()
	must(t, create(strings.ToUpper(one), other))
	if !slices.Equal(seen, []string{one, other}) {
		t.Errorf("the handler received %q", seen)
	}
	err := create(one, other, strings.ToUpper(one))
	if violations := fault.From(err).Violations(); !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) ||
		len(violations) != 1 || violations[0].Field != "assistant.collectionIds" {
		t.Errorf("an id and itself in upper case: %v", err)
	}
}
