package role_test

import (
	"context"
	"testing"

	"google.golang.org/grpc"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
	"github.com/gatehouse/gatehouse/services/auth/authclient"
	"github.com/gatehouse/gatehouse/services/auth/internal/authtest"
)

// counted counts the calls over a connection.
type counted struct {
	grpc.ClientConnInterface

	calls int
}

func (c *counted) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	c.calls++
	return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
}

// S22: the revocations of thousands of members are read completely, and reading the
// feed repeatedly takes few calls.
func TestS22ManyRevocationsTakeFewCalls(t *testing.T) {
	t.Parallel()
	b := authtest.Setup(t)
	tokens, p := b.SignUp(t, "ada@example.org")
	r := b.CreateRole(t, tokens, "Reader", "chat.read")
	b.AddMembers(t, p.OrganizationID, r.GetId())
	_, err := b.UpdateRole(authtest.With(t.Context(), tokens), p.OrganizationID, &authv1.Role{Id: r.GetId(), Permissions: []string{"knowledge.read"}}, "permissions")
	authtest.Must(t, err)
	authtest.Must(t, b.Service.DisableUser(t.Context(), "ada@example.org", true))
	conn := &counted{ClientConnInterface: b.Conn}
	found, err := authclient.Revocations(conn)(b.AsService(t, "auth"), p.IssueTime)
	authtest.Must(t, err)
	users := map[string]bool{}
	for _, r := range found {
		if r.OrganizationID == p.OrganizationID {
			users[r.UserID] = true
		}
	}
	// The other two are those of ada's session and user.
	if len(found) != authtest.ManyMembers+2 || len(users) != authtest.ManyMembers || conn.calls != 2 {
		t.Errorf("%d revocations of %d users took %d calls", len(found), len(users), conn.calls)
	}
}
