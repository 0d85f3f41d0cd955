package surface_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// S8: a publishable key is public, so it is no credential. Each RPC that needs a credential
// refuses it, in every protocol.
func TestS8PublishableKeysAreNoCredentials(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	var created struct{ Key string }
	inprocess.Decode(t, i.Request(t, owner, http.MethodPost, "/v1/publishable-keys",
		map[string]any{"displayName": "Site", "origins": []string{i.URL}}), &created)
	if !strings.HasPrefix(created.Key, "pk_") {
		t.Fatalf("the key is %q", created.Key)
	}
	page := inprocess.Session{AccessToken: created.Key}
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	refused := 0
	for _, m := range catalog.Methods() {
		if !m.Public || m.Access.GetPublic() {
			continue
		}
		refused++
		if st := call(withToken(t, page), conn, m, &emptypb.Empty{}); st.Code() != codes.Unauthenticated {
			t.Errorf("%s by gRPC: %v %s", m.FullMethod, st.Code(), st.Message())
		}
		if len(m.Routes) > 0 {
			_ = callREST(t, i, page, m, request(t, m, owner.OrganizationID), http.StatusUnauthorized)
		}
		frame := []byte{0, 0, 0, 0, 0} // an empty message
		if status, body, header := postRPC(t, i, page, m, "application/grpc-web+proto", frame); header.Get("Grpc-Status") != "16" && !bytes.Contains(body, []byte("grpc-status: 16")) {
			t.Errorf("%s by gRPC-Web: %d %v %s", m.FullMethod, status, header, body)
		}
		if m.Descriptor.IsStreamingClient() || m.Descriptor.IsStreamingServer() {
			continue
		}
		if status, body, _ := postRPC(t, i, page, m, "application/json", []byte("{}")); status != http.StatusUnauthorized || !bytes.Contains(body, []byte(`"unauthenticated"`)) {
			t.Errorf("%s by Connect: %d %s", m.FullMethod, status, body)
		}
	}
	if refused < 50 {
		t.Errorf("only %d RPCs: the test proves nothing", refused)
	}
}

// postRPC calls an RPC from a web page, by a protocol that posts to the name of the RPC.
func postRPC(t *testing.T, i *inprocess.Installation, caller inprocess.Session, m catalog.Method, contentType string, body []byte) (int, []byte, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, i.URL+m.FullMethod, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+caller.AccessToken)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Connect-Protocol-Version", "1")
	req.Header.Set("Origin", i.URL)
	return doRequest(t, req)
}
