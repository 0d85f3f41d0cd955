package surface_test

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/platform/id"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// fixture has what the tests must know of one entity. Each entity has a file in
// testdata/fixtures. In requests, ORGANIZATION stands for the id of the caller's organization,
// ANY for a new id, and DELETED for the id of a deleted resource of the entity.
type fixture struct {
	// Resource is the name of the entity's service without "Service", in lower case.
	Resource string `json:"resource"`
	// Create creates a resource by REST.
	Create struct {
		Path string          `json:"path"`
		Body json.RawMessage `json:"body"`
	} `json:"create"`
	// Requests has, by RPC, the fields that a valid request needs beside the resource.
	Requests map[string]json.RawMessage `json:"requests"`
	// Repeated has, for each POST, a request that succeeds and the field that the test changes
	// to get a different request.
	Repeated map[string]struct {
		Request json.RawMessage `json:"request"`
		Change  string          `json:"change"`
	} `json:"repeated"`
}

//go:embed testdata/fixtures
var fixtureFiles embed.FS

// loadFixtures decodes the files once, since every request of the walk needs them.
var loadFixtures = sync.OnceValues(func() ([]fixture, error) {
	entries, err := fixtureFiles.ReadDir("testdata/fixtures")
	if err != nil {
		return nil, err
	}
	var out []fixture
	for _, entry := range entries {
		raw, err := fixtureFiles.ReadFile(path.Join("testdata/fixtures", entry.Name()))
		if err != nil {
			return nil, err
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields()
		var f fixture
		if err := decoder.Decode(&f); err != nil {
			return nil, fmt.Errorf("%s: %w", entry.Name(), err)
		}
		out = append(out, f)
	}
	return out, nil
})

func fixtures(t *testing.T) []fixture {
	t.Helper()
	out, err := loadFixtures()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// create creates a resource of the entity and returns its id.
func (f fixture) create(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	var made struct{ ID string }
	inprocess.Decode(t, i.RequestWith(t, s, http.MethodPost, f.path(s), f.Create.Body,
		map[string]string{"Idempotency-Key": id.New()}), &made)
	return made.ID
}

// deleted creates a resource of the entity, deletes it and returns its id.
func (f fixture) deleted(t *testing.T, i *inprocess.Installation, s inprocess.Session) string {
	t.Helper()
	made := f.create(t, i, s)
	inprocess.Decode(t, i.Request(t, s, http.MethodDelete, f.path(s)+"/"+made, nil), &struct{}{})
	return made
}

func (f fixture) path(s inprocess.Session) string {
	return strings.ReplaceAll(f.Create.Path, "ORGANIZATION", s.OrganizationID)
}

// repeated returns the request of each POST of the entity, by RPC.
func (f fixture) repeated(t *testing.T, i *inprocess.Installation, s inprocess.Session) map[string]proto.Message {
	t.Helper()
	out := map[string]proto.Message{}
	for name, r := range f.Repeated {
		text := strings.ReplaceAll(string(r.Request), "ORGANIZATION", s.OrganizationID)
		if strings.Contains(text, "DELETED") {
			text = strings.ReplaceAll(text, "DELETED", f.deleted(t, i, s))
		}
		out[name] = decodeRequest(t, methodNamed(t, name), text)
	}
	return out
}

func methodNamed(t *testing.T, name string) catalog.Method {
	t.Helper()
	for _, m := range catalog.Methods() {
		if string(m.Descriptor.Name()) == name && m.Public {
			return m
		}
	}
	t.Fatalf("a fixture names %s, which is not a public RPC", name)
	return catalog.Method{}
}

func decodeRequest(t *testing.T, m catalog.Method, text string) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Descriptor.Input().FullName())
	if err != nil {
		t.Fatal(err)
	}
	message := kind.New().Interface()
	if err := protojson.Unmarshal([]byte(text), message); err != nil {
		t.Fatalf("%s: %v", m.FullMethod, err)
	}
	return message
}

// requiredFields returns the fields that a request of an RPC needs beside the resource, as JSON.
func requiredFields(t *testing.T, m catalog.Method) string {
	t.Helper()
	name := string(m.Descriptor.Name())
	text := requestFields[name]
	for _, f := range fixtures(t) {
		if found, ok := f.Requests[name]; ok {
			text = string(found)
		}
	}
	if text == "" {
		text = "{}"
	}
	return strings.ReplaceAll(text, "ANY", id.New())
}

// changedField returns the field that the test changes to get a different request of a POST.
func changedField(t *testing.T, name string) string {
	t.Helper()
	for _, f := range fixtures(t) {
		if r, ok := f.Repeated[name]; ok {
			return r.Change
		}
	}
	if changedFields[name] == "" {
		t.Fatalf("%s: neither a fixture nor changedFields names a field to change", name)
	}
	return changedFields[name]
}
