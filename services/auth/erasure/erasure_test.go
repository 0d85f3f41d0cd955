package erasure_test

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gatehouse/gatehouse/platform/clock"
	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

func TestListErasures_ReturnsDeletedUsersAndPurgedOrganizations(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	b.SignUp(t, "eve@example.org")
	var users, organizations []string
	for _, address := range []string{authtest.Ada, "bob@example.org"} {
		tokens, p := b.SignUp(t, address)
		authtest.Must(t, b.DeleteMe(authtest.With(t.Context(), tokens)))
		users, organizations = append(users, p.UserID), append(organizations, p.OrganizationID)
	}
	authtest.Must(t, b.Service.Sweep(t.Context())) // purges the personal organizations
	gotUsers, gotOrganizations := b.Erasures(b.AsService(t, "auth"), t)
	slices.Sort(organizations)
	slices.Sort(gotOrganizations)
	if !slices.Equal(gotUsers, users) || !slices.Equal(gotOrganizations, organizations) {
		t.Errorf("listed %q and %q, want %q and %q", gotUsers, gotOrganizations, users, organizations)
	}
}

func TestListErasures_SinceTime_LeavesOutOlderOnes(t *testing.T) {
	t.Parallel()
	clk := clock.NewFake(time.Now())
	b := authtest.SetupWith(t, clk, auth.Config{})
	first, _ := b.SignUp(t, authtest.Ada)
	second, p := b.SignUp(t, "bob@example.org")
	service := b.AsService(t, "auth") // its token must not be from the future
	authtest.Must(t, b.DeleteMe(authtest.With(t.Context(), first)))
	clk.Advance(time.Minute)
	since := timestamppb.New(clk.Now())
	authtest.Must(t, b.DeleteMe(authtest.With(t.Context(), second)))
	list, err := authv1.NewErasureServiceClient(b.Conn).ListErasures(service, &authv1.ListErasuresRequest{SinceTime: since})
	authtest.Must(t, err)
	if len(list.GetErasures()) != 1 || list.GetErasures()[0].GetUserId() != p.UserID {
		t.Errorf("listed %v, want only the erasure of %s", list, p.UserID)
	}
}

func TestListErasures_UserCalls_IsRefused(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	_, err := authv1.NewErasureServiceClient(b.Conn).ListErasures(authtest.With(t.Context(), b.Operator(t)), &authv1.ListErasuresRequest{})
	authtest.WantReason(t, err, faultv1.Reason_REASON_UNAUTHENTICATED)
}
