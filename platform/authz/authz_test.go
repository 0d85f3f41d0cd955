package authz_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/platform/identity"
	"github.com/gatehouse/gatehouse/proto/catalog"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// S45: the permissions of custom roles count like those of built-in roles. Permissions
// that are reserved for operators do not count, even in a credential with a valid
// signature.
//
//nolint:paralleltest // it must run before the test that adds a contract to the process
func TestS45CustomRolesGiveNoPermissionsOfOperators(t *testing.T) {
	a, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	const (
		write   = "/gatehouse.auth.v1.OrganizationService/UpdateMember"
		read    = "/gatehouse.auth.v1.OrganizationService/ListMembers"
		operate = "/gatehouse.auth.v1.OrganizationService/AddMember"
	)
	p := &identity.Principal{
		UserID: "u", ClientID: identity.FirstParty, Roles: []string{"0198c0de"},
		Permissions: []string{"members.write", "organizations.operate", "no.such"},
	}
	key := *p
	key.ClientID, key.Scopes = "api-key", []string{"members.read", "organizations.operate"}
	for _, c := range []struct {
		who    *identity.Principal
		method string
		want   faultv1.Reason
	}{
		{p, write, 0},
		{p, read, faultv1.Reason_REASON_PERMISSION_DENIED},
		{p, operate, faultv1.Reason_REASON_PERMISSION_DENIED},
		{&key, write, faultv1.Reason_REASON_INSUFFICIENT_SCOPE},
		{&key, read, faultv1.Reason_REASON_PERMISSION_DENIED},
		{&key, operate, faultv1.Reason_REASON_INSUFFICIENT_SCOPE},
	} {
		err := a.Authorize(identity.NewContext(t.Context(), c.who), c.method)
		if got := fault.From(err); (got != nil || c.want != 0) && !fault.Is(err, c.want) {
			t.Errorf("%s of %s: %v", c.method, c.who.ClientID, err)
		}
	}
	if got := a.Allowed(p); len(got) != 1 || got[0] != "members.write" {
		t.Errorf("allowed %v", got)
	}
	if a.Grantable("organizations.operate") || a.Grantable("no.such") || !a.Grantable("members.read") {
		t.Error("Grantable is wrong")
	}
}

// S6: a token with every permission is much smaller than the limit of the verifier.
func TestS6ATokenMayContainEveryPermission(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	claims := identity.AccessClaims{Issuer: "https://gatehouse.example.com", Subject: id.New(), ID: id.New(), ClientID: identity.FirstParty, OrganizationID: id.New(), SessionID: id.New()}
	for range 10 {
		claims.Roles = append(claims.Roles, id.New())
	}
	for _, p := range catalog.Permissions() {
		claims.Permissions = append(claims.Permissions, p.GetName())
	}
	token, err := identity.SignAccess(identity.SigningKey{ID: "k1", Private: private}, claims)
	if err != nil {
		t.Fatal(err)
	}
	if len(token) > 4<<10 {
		t.Errorf("the token has %d bytes", len(token))
	}
}

// S46: an RPC without a rule is denied for every caller, and a program with such an RPC
// does not start.
//
//nolint:paralleltest // it adds a contract to the process
func TestS46AnRPCWithoutARuleIsDeniedAndPreventsTheStart(t *testing.T) {
	const rpc = "/gatehouse.rogue.v1.RogueService/Take"
	a, err := authz.New()
	if err != nil {
		t.Fatal(err)
	}
	everybody := identity.NewServiceContext(identity.NewContext(t.Context(), &identity.Principal{
		UserID: "u", ClientID: identity.FirstParty, Roles: []string{"owner", "operator"},
	}), &identity.Service{Name: "gateway"})
	if err := a.Authorize(everybody, rpc); !fault.Is(err, faultv1.Reason_REASON_PERMISSION_DENIED) {
		t.Errorf("an RPC without a rule: %v", err)
	}

	contract := &descriptorpb.FileDescriptorProto{
		Name: proto.String("gatehouse/rogue/v1/rogue.proto"), Package: proto.String("gatehouse.rogue.v1"), Syntax: proto.String("proto3"),
		MessageType: []*descriptorpb.DescriptorProto{{Name: proto.String("Nothing")}},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("RogueService"), Method: []*descriptorpb.MethodDescriptorProto{{
			Name: proto.String("Take"), InputType: proto.String(".gatehouse.rogue.v1.Nothing"), OutputType: proto.String(".gatehouse.rogue.v1.Nothing"),
		}}}},
	}
	file, err := protodesc.NewFile(contract, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	if err := protoregistry.GlobalFiles.RegisterFile(file); err != nil {
		t.Fatal(err)
	}
	if _, err := authz.New(); err == nil || !strings.Contains(err.Error(), rpc) {
		t.Errorf("authz.New = %v, want it to name %s", err, rpc)
	}
}
