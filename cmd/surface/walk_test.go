// Package surface walks all that the product shows to its clients, by the
// catalog of RPCs: that one organization learns nothing of another, through no
// RPC and from no table, even where a store forgot its condition; and that a
// request with an Idempotency-Key is carried out once.
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

// resources are the ids of one organization's resources, by kind.
type resources map[string]string

func populate(t *testing.T, i *inprocess.Installation, s inprocess.Session) resources {
	t.Helper()
	r := resources{"organization": s.OrganizationID}
	for _, f := range fixtures(t) {
		r[f.Resource] = f.create(t, i, s)
	}
	r["service_account"] = r["serviceaccount"] // as the requests about its keys call it
	r["document"] = i.Create(t, s, "/v1/collections/"+r["collection"]+"/documents",
		map[string]string{"title": "Warranty", "content": "# Warranty\n\nIt lasts three years.", "contentType": "text/markdown"})
	var started struct{ Run struct{ ID string } }
	resp := i.Request(t, s, http.MethodPost, "/v1/conversations/"+r["conversation"]+"/messages", map[string]string{"content": "How long?"})
	inprocess.Decode(t, resp, &started)
	r["run"] = started.Run.ID
	var mine struct{ Sessions []struct{ ID string } }
	i.Get(t, s, "/v1/me/sessions", &mine)
	r["usersession"] = mine.Sessions[0].ID
	_, r["apikey"] = key(t, i, s, "chat.read")
	r["oauthclient"], r["grant"] = allowed(t, i, s)
	// Before there is a factor, which the token has not shown.
	i.Create(t, s, "/v1/organizations/"+s.OrganizationID+"/identity-providers", map[string]any{
		"displayName": "Theirs", "issuer": "https://theirs.example", "clientId": "x", "domains": []string{"theirs.example"},
	})
	r["passkey"] = passkey(t, i, s) // from here on signing in needs it
	r["identity"] = identityOf(t, i, s)
	i.Create(t, s, "/v1/organizations/"+s.OrganizationID+"/invitations", map[string]any{"email": "new@example.com", "roles": []string{"viewer"}})
	// Only a deleted organization has such, in which nobody could make the rest.
	i.Database.AdminExec(t, `INSERT INTO auth.suspended_memberships (organization_id, user_id, roles, created_at, updated_at)
		SELECT $1, id, '{viewer}', now(), now() FROM auth.users WHERE id <> $2 LIMIT 1`, s.OrganizationID, s.UserID)
	settle(t, i, s, r)
	inprocess.Decode(t, i.Request(t, s, http.MethodPost, "/v1/runs/"+r["run"]+"/events:ticket", struct{}{}), &struct{}{})
	// A slow test outlives a ticket, which is then swept.
	i.Database.AdminExec(t, "UPDATE chat.event_tickets SET expires_at = now() + interval '1 day'")
	for kind, value := range r {
		if !id.Valid(value) {
			t.Fatalf("no %s was made", kind)
		}
	}
	return r
}

// settle waits until the document's passages and the run's events are stored.
func settle(t *testing.T, i *inprocess.Installation, s inprocess.Session, r resources) {
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

// of returns the id that an RPC's resource field wants.
func (r resources) of(t *testing.T, m catalog.Method) string {
	t.Helper()
	kind := strings.TrimSuffix(strings.TrimSuffix(m.Access.GetResource(), "s"), "_id")
	kind = strings.TrimSuffix(kind[strings.LastIndex(kind, ".")+1:], "id")
	if kind == "" {
		kind = strings.ToLower(strings.TrimSuffix(string(m.Descriptor.Parent().Name()), "Service"))
	}
	value, ok := r[kind]
	if !ok {
		t.Fatalf("%s is about a kind of resource that populate does not make: %q", m.FullMethod, kind)
	}
	return value
}

// expected is how an RPC answers somebody who has every role in an
// organization of its own: the resource is not there, unless no such role may
// call the RPC at all.
func expected(m catalog.Method) (codes.Code, int) {
	for _, p := range catalog.Permissions() {
		if p.GetName() == m.Access.GetPermission() && !slices.Contains(p.GetRoles(), "owner") {
			return codes.PermissionDenied, http.StatusForbidden
		}
	}
	return codes.NotFound, http.StatusNotFound
}

func about(t *testing.T) []catalog.Method {
	t.Helper()
	var out []catalog.Method
	for _, m := range catalog.Methods() {
		if m.Public && m.Access.GetResource() != "" {
			out = append(out, m)
		}
	}
	if len(out) < 25 {
		t.Fatalf("only %d RPCs are about a resource: the walk shows nothing", len(out))
	}
	return out
}

// S41, S43, S68: also where a child would be put under it, or its run cancelled.
func TestS41AnotherOrganizationsResourcesAreAsIfAbsent(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, stranger := i.SignUp(t, "owner@example.com"), i.SignUp(t, "stranger@example.com")
	theirs := populate(t, i, owner)
	walk(t, i, stranger, theirs, about(t))
}

// Only a call finds a service that was built and never registered. The caller
// has a forged credential, so that nothing changes: without a credential, the
// gateway refuses by itself.
func TestEveryPublicRPCIsServed(t *testing.T) {
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

// A conversation is its user's alone: a colleague with the same rights in the
// same organization finds nothing either.
func TestS41AColleaguesConversationsAreAsIfAbsent(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, colleague, operator := i.SignUp(t, "owner@example.com"), i.SignUp(t, "colleague@example.com"), i.SignIn(t)
	theirs := populate(t, i, owner)
	resp := i.Request(t, operator, http.MethodPost, "/v1/organizations/"+owner.OrganizationID+"/members",
		map[string]any{"userId": colleague.UserID, "roles": []string{"owner"}})
	inprocess.Decode(t, resp, &struct{}{})
	colleague = i.Switch(t, colleague, owner.OrganizationID)
	var chat []catalog.Method
	for _, m := range about(t) {
		if strings.HasPrefix(m.FullMethod, "/gatehouse.chat.") {
			chat = append(chat, m)
		}
	}
	if len(chat) < 5 {
		t.Fatalf("only %d RPCs", len(chat))
	}
	walk(t, i, colleague, theirs, chat)
}

// walk calls each RPC with the id of a resource that the caller must not know
// of, and with one of nothing, and compares the answers byte by byte.
func walk(t *testing.T, i *inprocess.Installation, caller inprocess.Session, theirs resources, methods []catalog.Method) {
	t.Helper()
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+caller.AccessToken)
	for _, m := range methods {
		foreign, absent := theirs.of(t, m), id.New()
		code, httpStatus := expected(m)
		answers := map[string][]byte{}
		for _, resource := range []string{foreign, absent} {
			message := request(t, m, resource)
			if m.Access.GetResource() != "organization_id" && message.ProtoReflect().Descriptor().Fields().ByName("organization_id") != nil {
				set(message.ProtoReflect(), "organization_id", caller.OrganizationID) // the resource is another's, not the place
			}
			st := call(ctx, conn, m, message)
			if st.Code() != code {
				t.Errorf("%s about %s: %v %s, want %v", m.FullMethod, name(resource, foreign), st.Code(), st.Message(), code)
			}
			raw, err := proto.Marshal(st.Proto())
			if err != nil {
				t.Fatal(err)
			}
			rest := overREST(t, i, caller, m, message, httpStatus)
			answers[resource] = bytes.ReplaceAll(append(raw, rest...), []byte(resource), []byte("ID"))
		}
		if !bytes.Equal(answers[foreign], answers[absent]) {
			t.Errorf("%s tells that the resource exists:\n%s\nabsent:\n%s", m.FullMethod, answers[foreign], answers[absent])
		}
	}
}

func name(resource, foreign string) string {
	if resource == foreign {
		return "a foreign resource"
	}
	return "an absent resource"
}

// call makes the call by gRPC, whatever it streams, and returns how it ended. It waits
// for limits on calls.
func call(ctx context.Context, conn *grpc.ClientConn, m catalog.Method, message proto.Message) *status.Status {
	return status.Convert(inprocess.Patiently(ctx, func() error { return callOnce(ctx, conn, m, message) }))
}

func callOnce(ctx context.Context, conn *grpc.ClientConn, m catalog.Method, message proto.Message) error {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{
		ClientStreams: m.Descriptor.IsStreamingClient(), ServerStreams: true,
	}, m.FullMethod)
	if err != nil {
		return err
	}
	// An error here is told by the first receive.
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

// marks are what differs from one request to the next.
var marks = regexp.MustCompile(`"(requestId|traceId|instance)":"[^"]*"`)

// overREST makes the call by REST and returns the answer without the marks.
func overREST(t *testing.T, i *inprocess.Installation, caller inprocess.Session, m catalog.Method, message proto.Message, want int) []byte {
	t.Helper()
	method, path, contentType, body := inREST(t, m, message)
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
	return marks.ReplaceAll(raw, nil)
}
