package authz_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/gatehouse/gatehouse/platform/authz"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/identity"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// S46: what no rule allows is denied, whoever calls; and no program starts in
// which an RPC states none.
//
//nolint:paralleltest // it adds a contract to the process
func TestS46WithoutARuleNothingStartsAndNothingIsAllowed(t *testing.T) {
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
