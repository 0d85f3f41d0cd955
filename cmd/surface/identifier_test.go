package surface_test

import (
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// Each resource is also found when its id is written in upper case.
func TestResourceID_InUpperCase_NamesTheSameResource(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	own := populate(t, i, owner)
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	found := 0
	for _, m := range resourceMethods(t) {
		if !m.ReadOnly() || m.Access.GetResource() == "organization_id" && m.Descriptor.Input().Fields().ByName("id") != nil {
			continue
		}
		message := request(t, m, own.idFor(t, m))
		if message.ProtoReflect().Descriptor().Fields().ByName("organization_id") != nil {
			set(message.ProtoReflect(), "organization_id", owner.OrganizationID)
		}
		if st := call(withToken(t, owner), conn, m, message); st.Code() != codes.OK {
			continue // refused for another reason, such as a missing factor
		}
		found++
		set(message.ProtoReflect(), m.Access.GetResource(), strings.ToUpper(own.idFor(t, m)))
		if m.Access.GetResource() == "collection_ids" {
			message = request(t, m, strings.ToUpper(own.idFor(t, m)))
		}
		if message.ProtoReflect().Descriptor().Fields().ByName("organization_id") != nil {
			set(message.ProtoReflect(), "organization_id", strings.ToUpper(owner.OrganizationID))
		}
		if st := call(withToken(t, owner), conn, m, message); st.Code() != codes.OK {
			t.Errorf("%s: %v %s", m.FullMethod, st.Code(), st.Message())
		}
	}
	if found < 10 {
		t.Errorf("only %d RPCs: the test proves nothing", found)
	}
}
