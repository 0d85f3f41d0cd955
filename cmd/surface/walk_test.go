// Package surface tests every RPC of the catalog on the whole product. It checks that an
// organization learns nothing of another, by any RPC or from any table, even where a store forgot
// a condition, and that a request with an idempotency key is carried out once.
package surface_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// resources has the ids of the resources of an organization, by kind.
type resources map[string]string

// populate creates a resource of every kind in the caller's organization.
func populate(t *testing.T, i *inprocess.Installation, s inprocess.Session) resources {
	t.Helper()
	r := resources{"organization": s.OrganizationID}
	for _, f := range fixtures(t) {
		r[f.Resource] = f.create(t, i, s)
	}
	r["service_account"] = r["serviceaccount"] // the name in the requests for its keys
	r["document"] = i.Create(t, s, "/v1/collections/"+r["collection"]+"/documents",
		map[string]string{"title": "Warranty", "content": "# Warranty\n\nIt lasts three years.", "contentType": "text/markdown"})
	var started struct{ Run struct{ ID string } }
	resp := i.Request(t, s, http.MethodPost, "/v1/conversations/"+r["conversation"]+"/messages", map[string]string{"content": "How long?"})
	inprocess.Decode(t, resp, &started)
	r["run"] = started.Run.ID
	var mine struct{ Sessions []struct{ ID string } }
	i.Get(t, s, "/v1/me/sessions", &mine)
	r["usersession"] = mine.Sessions[0].ID
	_, r["apikey"] = createKey(t, i, s, "chat.read")
	r["oauthclient"], r["grant"] = createOAuthGrant(t, i, s)
	// This precedes the passkey: the token does not record that factor, so the RPC would refuse it.
	i.Create(t, s, "/v1/organizations/"+s.OrganizationID+"/identity-providers", map[string]any{
		"displayName": "Theirs", "issuer": "https://theirs.example", "clientId": "x", "domains": []string{"theirs.example"},
	})
	r["passkey"] = createPasskey(t, i, s) // from here on, sign-in needs the passkey
	r["identity"] = createIdentity(t, i, s)
	i.Create(t, s, "/v1/organizations/"+s.OrganizationID+"/invitations", map[string]any{"email": "new@example.com", "roles": []string{"viewer"}})
	// Only a deleted organization has suspended memberships. In one, the other resources could not
	// be created.
	i.Database.AdminExec(t, `INSERT INTO auth.suspended_memberships (organization_id, user_id, roles, created_at, updated_at)
		SELECT $1, id, '{viewer}', now(), now() FROM auth.users WHERE id <> $2 LIMIT 1`, s.OrganizationID, s.UserID)
	waitUntilStored(t, i, s, r)
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/runs/"+r["run"]+"/events:ticket", struct{}{}), &struct{}{})
	// In a slow test the ticket would expire and be swept.
	i.Database.AdminExec(t, "UPDATE chat.event_tickets SET expires_at = now() + interval '1 day'")
	for kind, value := range r {
		if !id.Valid(value) {
			t.Fatalf("no %s was created", kind)
		}
	}
	return r
}

// waitUntilStored waits until the chunks of the document and the events of the run are stored.
func waitUntilStored(t *testing.T, i *inprocess.Installation, s inprocess.Session, r resources) {
	t.Helper()
	resp := i.Request(t, s, http.MethodGet, "/v1/runs/"+r["run"]+"/events", nil)
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // the stream ends with the run
		t.Fatal(err)
	}
	ticker, deadline := time.NewTicker(20*time.Millisecond), time.After(30*time.Second)
	defer ticker.Stop()
	for {
		var document struct{ State string }
		i.Get(t, s, "/v1/documents/"+r["document"], &document)
		if document.State == "READY" {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("the document is still %s", document.State)
		}
	}
}

// idFor returns the id for the resource field of an RPC.
func (r resources) idFor(t *testing.T, m catalog.Method) string {
	t.Helper()
	kind := strings.TrimSuffix(strings.TrimSuffix(m.Access.GetResource(), "s"), "_id")
	kind = strings.TrimSuffix(kind[strings.LastIndex(kind, ".")+1:], "id")
	if kind == "" {
		kind = strings.ToLower(strings.TrimSuffix(string(m.Descriptor.Parent().Name()), "Service"))
	}
	value, ok := r[kind]
	if !ok {
		t.Fatalf("%s names a kind of resource that populate does not create: %q", m.FullMethod, kind)
	}
	return value
}

// expectedRefusal returns how an RPC refuses the owner of another organization: the resource is
// not found, unless no role of an organization has the permission of the RPC.
func expectedRefusal(m catalog.Method) (codes.Code, int) {
	for _, p := range catalog.Permissions() {
		if p.GetName() == m.Access.GetPermission() && !slices.Contains(p.GetRoles(), "owner") {
			return codes.PermissionDenied, http.StatusForbidden
		}
	}
	return codes.NotFound, http.StatusNotFound
}

// resourceMethods returns the RPCs whose request names a resource.
func resourceMethods(t *testing.T) []catalog.Method {
	t.Helper()
	var out []catalog.Method
	for _, m := range catalog.Methods() {
		if m.Public && m.Access.GetResource() != "" {
			out = append(out, m)
		}
	}
	if len(out) < 25 {
		t.Fatalf("only %d RPCs name a resource: the test proves nothing", len(out))
	}
	return out
}

// S41, S43, S68: this includes RPCs that create a child of the resource or cancel its run.
func TestS41ResourcesOfAnotherOrganizationAreNotFound(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, otherUser := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other-user@example.com")
	theirs := populate(t, i, owner)
	compareWithAbsent(t, i, otherUser, theirs, resourceMethods(t))
}

// Only a call shows whether a service that was built is also registered. The caller sends a forged
// credential, so that the call changes nothing. Without a credential the gateway would refuse the
// call itself.
func TestPublicRPC_EveryMethod_IsServed(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, m := range catalog.Methods() {
		if !m.Public {
			continue
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer forged")
		if st := call(ctx, conn, m, &emptypb.Empty{}); st.Code() == codes.Unimplemented || st.Code() == codes.Unavailable {
			t.Errorf("%s: %v %s (does its service's Register name it?)", m.FullMethod, st.Code(), st.Message())
		}
	}
}

// A conversation belongs to one user. It is not found by a colleague with the same rights in the
// same organization.
func TestS41ConversationsOfAColleagueAreNotFound(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, colleague, operator := i.SignUp(t, "owner@example.com"), i.SignUp(t, "colleague@example.com"), i.SignIn(t)
	theirs := populate(t, i, owner)
	resp := i.Request(t, operator, http.MethodPost, "/v1/organizations/"+owner.OrganizationID+"/members",
		map[string]any{"userId": colleague.UserID, "roles": []string{"owner"}})
	inprocess.Decode(t, resp, &struct{}{})
	colleague = i.Switch(t, colleague, owner.OrganizationID)
	var chat []catalog.Method
	for _, m := range resourceMethods(t) {
		if strings.HasPrefix(m.FullMethod, "/gatehouse.chat.") {
			chat = append(chat, m)
		}
	}
	if len(chat) < 5 {
		t.Fatalf("only %d RPCs", len(chat))
	}
	compareWithAbsent(t, i, colleague, theirs, chat)
}

// compareWithAbsent calls each RPC with the id of a resource that the caller must not see, and with
// an id that does not exist, and compares the responses byte by byte.
func compareWithAbsent(t *testing.T, i *inprocess.Installation, caller inprocess.Session, theirs resources, methods []catalog.Method) {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+caller.AccessToken)
	for _, m := range methods {
		foreign, absent := theirs.idFor(t, m), id.New()
		code, httpStatus := expectedRefusal(m)
		answers := map[string][]byte{}
		for _, resource := range []string{foreign, absent} {
			message := request(t, m, resource)
			if m.Access.GetResource() != "organization_id" && message.ProtoReflect().Descriptor().Fields().ByName("organization_id") != nil {
				set(message.ProtoReflect(), "organization_id", caller.OrganizationID) // only the resource is foreign
			}
			st := call(ctx, conn, m, message)
			if st.Code() != code {
				t.Errorf("%s about %s: %v %s, want %v", m.FullMethod, describeResource(resource, foreign), st.Code(), st.Message(), code)
			}
			raw, err := proto.Marshal(st.Proto())
			if err != nil {
				t.Fatal(err)
			}
			rest := callREST(t, i, caller, m, message, httpStatus)
			answers[resource] = bytes.ReplaceAll(append(raw, rest...), []byte(resource), []byte("ID"))
		}
		if !bytes.Equal(answers[foreign], answers[absent]) {
			t.Errorf("%s reveals that the resource exists:\n%s\nabsent:\n%s", m.FullMethod, answers[foreign], answers[absent])
		}
	}
}

// describeResource returns a name of a resource for messages.
func describeResource(resource, foreign string) string {
	if resource == foreign {
		return "a foreign resource"
	}
	return "an absent resource"
}

// call calls a unary or streaming RPC by gRPC and returns its status. It waits and retries when a
// rate limit refuses the call.
func call(ctx context.Context, conn *grpc.ClientConn, m catalog.Method, message proto.Message) *status.Status {
	return status.Convert(inprocess.Patiently(ctx, func() error { return callOnce(ctx, conn, m, message) }))
}

// callOnce calls an RPC and reads all of its responses.
func callOnce(ctx context.Context, conn *grpc.ClientConn, m catalog.Method, message proto.Message) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{
		ClientStreams: m.Descriptor.IsStreamingClient(), ServerStreams: true,
	}, m.FullMethod)
	if err != nil {
		return err
	}
	// The first receive returns the error of these calls.
	_ = stream.SendMsg(message)
	_ = stream.CloseSend()
	for {
		err := stream.RecvMsg(&emptypb.Empty{})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// varyingFields matches the fields of a fault that differ between requests.
var varyingFields = regexp.MustCompile(`"(requestId|traceId|instance)":"[^"]*"`)

// callREST calls an RPC by REST and returns the response without varyingFields.
func callREST(t *testing.T, i *inprocess.Installation, caller inprocess.Session, m catalog.Method, message proto.Message, want int) []byte {
	t.Helper()
	method, path, contentType, body := restRequest(t, m, message)
	req, err := http.NewRequestWithContext(t.Context(), method, i.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+caller.AccessToken)
	if body != nil {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := inprocess.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != want {
		t.Errorf("%s %s: %d %s, want %d", method, path, resp.StatusCode, raw, want)
	}
	return varyingFields.ReplaceAll(raw, nil)
}
