package surface_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// S63: a NUL in any text field of any RPC, which Postgres cannot store, is reported as an invalid
// argument and never as an internal error.
func TestS63TextWithNULIsRefused(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	caller := i.SignIn(t)
	own := populate(t, i, caller)
	conn, err := grpc.NewClient(strings.TrimPrefix(i.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+caller.AccessToken)
	tried := 0
	for _, m := range catalog.Methods() {
		if !m.Public {
			continue
		}
		for _, path := range textFields(m.Descriptor.Input(), "", 0) {
			message := request(t, m, "")
			if m.Access.GetResource() != "" {
				message = request(t, m, own.idFor(t, m))
			}
			clearField(message.ProtoReflect(), path)
			set(message.ProtoReflect(), path, "a\x00b")
			tried++
			switch st := call(ctx, conn, m, message); st.Code() {
			case codes.Internal, codes.Unknown, codes.Unavailable, codes.DataLoss:
				t.Errorf("%s with NUL in %s: %v %s", m.FullMethod, path, st.Code(), st.Message())
			case codes.OK:
				t.Logf("%s accepts a NUL in %s", m.FullMethod, path)
			default:
			}
		}
	}
	if tried < 80 {
		t.Errorf("only %d fields were tried", tried)
	}
}

// textFields returns the paths of the text fields of a message, two levels deep.
func textFields(message protoreflect.MessageDescriptor, prefix string, depth int) []string {
	var out []string
	for n := range message.Fields().Len() {
		field := message.Fields().Get(n)
		path := prefix + string(field.Name())
		switch {
		case field.Kind() == protoreflect.StringKind && !field.IsMap():
			out = append(out, path)
		case field.Kind() == protoreflect.MessageKind && !field.IsList() && !field.IsMap() && depth < 2:
			if !strings.HasPrefix(string(field.Message().FullName()), "google.") {
				out = append(out, textFields(field.Message(), path+".", depth+1)...)
			}
		default:
		}
	}
	return out
}

// clearField clears the field at a dotted path.
func clearField(message protoreflect.Message, path string) {
	head, rest, nested := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(head))
	if nested {
		clearField(message.Mutable(field).Message(), rest)
		return
	}
	message.Clear(field)
}

// S63: text that no field can store is refused, and the refusal names the field.
func TestS63BadTextIsRefusedWithItsField(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	s := i.SignUp(t, "ada@example.com")
	long := strings.TrimSuffix(strings.Repeat(`displayName = "x" OR `, 10_000), " OR ")
	for name, tc := range map[string]struct {
		method, path, body, field string
	}{
		"NUL":                   {http.MethodPost, "/v1/assistants", "{\"displayName\":\"a\\u0000b\"}", "displayName"},
		"NUL in a list":         {http.MethodPost, "/v1/assistants", "{\"displayName\":\"a\",\"tools\":[\"a\\u0000b\"]}", "tools[0]"},
		"no UTF-8":              {http.MethodPost, "/v1/assistants", "{\"displayName\":\"a\xff\"}", ""},
		"half a surrogate pair": {http.MethodPost, "/v1/assistants", `{"displayName":"a\ud800"}`, ""},
		"a long filter":         {http.MethodGet, "/v1/assistants?filter=" + url.QueryEscape(long), "", "filter"},
		"NUL in a filter":       {http.MethodGet, "/v1/assistants?filter=displayName%3D%22a%00%22", "", "filter"},
		"S51 a hidden field":    {http.MethodGet, "/v1/assistants?filter=organizationId%3D%22x%22", "", "filter"},
		"S51 a hidden order":    {http.MethodGet, "/v1/assistants?orderBy=organizationId", "", "orderBy"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, i.URL+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+s.AccessToken)
		if tc.body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		status, body, _ := doRequest(t, req)
		var problem struct{ Violations []struct{ Field string } }
		_ = json.Unmarshal(body, &problem) // the body may be no JSON, since varyingFields are removed
		if status != http.StatusBadRequest && status != http.StatusRequestHeaderFieldsTooLarge && status != http.StatusRequestURITooLong {
			t.Errorf("%s: %d %s", name, status, body)
		}
		if status == http.StatusBadRequest && tc.field != "" && !bytes.Contains(body, []byte(`"field":"`+tc.field+`"`)) {
			t.Errorf("%s: %s does not name %s", name, body, tc.field)
		}
	}
}

// S51: a page token is valid only for the list and the organization that it was issued for.
func TestS51PageTokensOfOtherListsAreRefused(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, otherUser := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other-user@example.com")
	for _, s := range []inprocess.Session{owner, otherUser} {
		for range 2 {
			i.Create(t, s, "/v1/assistants", map[string]string{"displayName": "One"})
			i.Create(t, s, "/v1/collections", map[string]string{"displayName": "One"})
		}
	}
	var page struct{ NextPageToken string }
	i.Get(t, owner, "/v1/assistants?pageSize=1", &page)
	token := url.QueryEscape(page.NextPageToken)
	i.Get(t, owner, "/v1/assistants?pageSize=1&pageToken="+token, &page)
	for name, tc := range map[string]struct {
		caller inprocess.Session
		path   string
	}{
		"another organization": {otherUser, "/v1/assistants?pageSize=1&pageToken=" + token},
		"another list":         {owner, "/v1/collections?pageSize=1&pageToken=" + token},
		"another filter":       {owner, "/v1/assistants?pageSize=1&filter=displayName%3D%22One%22&pageToken=" + token},
		"another order":        {owner, "/v1/assistants?pageSize=1&orderBy=displayName&pageToken=" + token},
	} {
		status, body, _ := readResponse(t, i.Request(t, tc.caller, http.MethodGet, tc.path, nil))
		if status != http.StatusBadRequest || !bytes.Contains(body, []byte(`"field":"pageToken"`)) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// S44: a client cannot set the fields that the server sets, by no body and no update mask.
func TestS44ClientsCannotSetServerFields(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, other := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other@example.com")
	theirs := populate(t, i, owner)
	for _, tc := range []struct {
		path   string
		writes []map[string]any
	}{
		{"/v1/me", []map[string]any{
			{"organizationId": other.OrganizationID}, {"roles": []string{"operator"}}, {"permissions": []string{"organizations.operate"}},
			{"disabled": true}, {"email": "else@example.com"}, {"emailVerified": true}, {"id": id.New()},
		}},
		{"/v1/assistants/" + theirs["assistant"], []map[string]any{
			{"organizationId": other.OrganizationID}, {"createTime": "2020-01-01T00:00:00Z"}, {"id": id.New()}, {"createdBy": other.UserID}, {"etag": "x", "deleteTime": "2020-01-01T00:00:00Z"},
		}},
		{"/v1/conversations/" + theirs["conversation"], []map[string]any{
			{"organizationId": other.OrganizationID}, {"userId": other.UserID}, {"activeRun": map[string]any{"state": "COMPLETED"}}, {"usage": map[string]any{"inputTokens": 0}},
		}},
		{"/v1/collections/" + theirs["collection"], []map[string]any{
			{"organizationId": other.OrganizationID}, {"documentCount": 0}, {"createTime": "2020-01-01T00:00:00Z"},
		}},
		{"/v1/organizations/" + owner.OrganizationID, []map[string]any{
			{"personal": false}, {"id": other.OrganizationID}, {"createTime": "2020-01-01T00:00:00Z"},
		}},
	} {
		_, before, _ := readResponse(t, i.Request(t, owner, http.MethodGet, tc.path, nil))
		for _, body := range tc.writes {
			var names []string
			for name := range body {
				names = append(names, name)
			}
			for _, query := range []string{"", "?updateMask=" + strings.Join(names, ",")} {
				status, said, _ := readResponse(t, i.Request(t, owner, http.MethodPatch, tc.path+query, body))
				_, after, _ := readResponse(t, i.Request(t, owner, http.MethodGet, tc.path, nil))
				if status != http.StatusBadRequest && !bytes.Equal(before, after) || status >= 500 {
					t.Errorf("PATCH %s%s %v: %d %s\nbefore %s\nafter  %s", tc.path, query, body, status, said, before, after)
				}
			}
		}
	}
	for path, body := range map[string]map[string]any{
		"/v1/assistants":    {"displayName": "x", "organizationId": other.OrganizationID},
		"/v1/collections":   {"displayName": "x", "organizationId": other.OrganizationID},
		"/v1/conversations": {"title": "x", "userId": other.UserID},
		"/v1/auth/sign-up":  {"email": "new@example.com", "password": "a very long secret", "roles": []string{"operator"}},
	} {
		status, said, _ := readResponse(t, i.Request(t, owner, http.MethodPost, path, body))
		if status != http.StatusBadRequest {
			t.Errorf("POST %s %v: %d %s", path, body, status, said)
		}
	}
}
