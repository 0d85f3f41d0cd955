package surface_test

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/gatehouse/gatehouse/proto/catalog"
)

// requestFields has, by RPC, the fields that a valid request needs beside the resource. A request
// that is refused as invalid would prove nothing. Most entities have theirs in testdata/fixtures.
// ANY stands for a new id.
var requestFields = map[string]string{
	"CreateUser":             `{"email": "new@example.com", "password": "a few words beside each other"}`,
	"GetUser":                `{"id": "ANY"}`,
	"UpdateUser":             `{"user": {"id": "ANY", "displayName": "mine"}, "updateMask": "displayName"}`,
	"DeleteUser":             `{"id": "ANY"}`,
	"UpdateMember":           `{"userId": "ANY", "roles": ["viewer"]}`,
	"RemoveMember":           `{"userId": "ANY"}`,
	"AddMember":              `{"userId": "ANY", "roles": ["viewer"]}`,
	"CreateInvitation":       `{"email": "new@example.com", "roles": ["viewer"]}`,
	"DeleteInvitation":       `{"id": "ANY"}`,
	"UpdateOrganization":     `{"organization": {"displayName": "mine"}, "updateMask": "displayName"}`,
	"CreateOAuthClient":      `{"oauthClient": {"displayName": "mine", "scopes": ["openid"], "redirectUris": ["https://app.example/"]}}`,
	"UpdateOAuthClient":      `{"oauthClient": {"displayName": "mine"}, "updateMask": "displayName"}`,
	"SendMessage":            `{"content": "What is it?"}`,
	"StartMessage":           `{"content": "What is it?"}`,
	"CreateDocument":         `{"title": "mine", "content": "Some text."}`,
	"UploadDocument":         `{"header": {"fileName": "mine.md"}}`,
	"Search":                 `{"query": "warranty"}`,
	"BeginIdentity":          `{"provider": "any"}`,
	"GetIdentityProvider":    `{"id": "ANY"}`,
	"DeleteIdentityProvider": `{"id": "ANY"}`,
	"CreateIdentityProvider": `{"identityProvider": {"displayName": "mine", "issuer": "https://mine.example", "clientId": "x", "domains": ["mine.example"]}}`,
	"UpdateIdentityProvider": `{"identityProvider": {"id": "ANY", "displayName": "mine"}, "updateMask": "displayName"}`,
}

// request returns a valid request of an RPC about one resource.
func request(t *testing.T, m catalog.Method, resource string) proto.Message {
	t.Helper()
	message := decodeRequest(t, m, requiredFields(t, m)).ProtoReflect()
	if m.Access.GetResource() != "" {
		set(message, m.Access.GetResource(), resource)
	}
	return message.Interface()
}

// set sets the field at a dotted path.
func set(message protoreflect.Message, path, value string) {
	head, rest, nested := strings.Cut(path, ".")
	field := message.Descriptor().Fields().ByName(protoreflect.Name(head))
	switch {
	case nested:
		set(message.Mutable(field).Message(), rest, value)
	case field.IsList():
		message.Mutable(field).List().Append(protoreflect.ValueOfString(value))
	default:
		message.Set(field, protoreflect.ValueOfString(value))
	}
}

// restRequest returns a request as the method, path, type and body of its REST form.
func restRequest(t *testing.T, m catalog.Method, message proto.Message) (method, path, contentType string, body []byte) {
	t.Helper()
	if len(m.Routes) == 0 {
		return upload(t, m, message)
	}
	method, path, body = transcode(t, m, message)
	return method, path, "application/json", body
}

// transcode converts a request to REST by the HTTP rule of its RPC.
func transcode(t *testing.T, m catalog.Method, message proto.Message) (method, path string, body []byte) {
	t.Helper()
	rule, _ := proto.GetExtension(m.Descriptor.Options(), annotations.E_Http).(*annotations.HttpRule)
	route := m.Routes[0]
	message = proto.Clone(message)
	var b strings.Builder
	rest := route.Path
	for {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			break
		}
		field, end, _ := strings.Cut(after, "}")
		b.WriteString(url.PathEscape(get(message.ProtoReflect(), field).String()))
		set(message.ProtoReflect(), field, "") // the path has it
		rest = end
	}
	content := message
	if rule.GetBody() != "*" && rule.GetBody() != "" {
		content = get(message.ProtoReflect(), rule.GetBody()).Message().Interface()
	}
	if route.Verb == http.MethodGet || rule.GetBody() == "" {
		return route.Verb, b.String(), nil
	}
	raw, err := protojson.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return route.Verb, b.String(), raw
}

// get returns the field at a dotted path.
func get(message protoreflect.Message, path string) protoreflect.Value {
	head, rest, nested := strings.Cut(path, ".")
	value := message.Get(message.Descriptor().Fields().ByName(protoreflect.Name(head)))
	if nested {
		return get(value.Message(), rest)
	}
	return value
}

// upload returns the request of the only RPC whose REST form is not JSON.
func upload(t *testing.T, m catalog.Method, message proto.Message) (method, path, contentType string, body []byte) {
	t.Helper()
	if m.Descriptor.Name() != "UploadDocument" {
		t.Fatalf("%s has no REST form that these tests can build", m.FullMethod)
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	if title := get(message.ProtoReflect(), "header.title").String(); title != "" {
		if err := form.WriteField("title", title); err != nil {
			t.Fatal(err)
		}
	}
	part, err := form.CreateFormFile("file", "mine.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(part, "Some text."); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	collection := get(message.ProtoReflect(), "header.collection_id").String()
	return http.MethodPost, "/v1/collections/" + collection + "/documents:upload", form.FormDataContentType(), b.Bytes()
}
