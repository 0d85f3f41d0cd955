package surface_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
	"github.com/gatehouse/gatehouse/proto/catalog"
)

// problem has the fields of problem details that these tests read.
type problem struct {
	Reason, Detail string
	Violations     []struct{ Field, Message string }
}

// S82: each RPC with a body refuses an unauthorized caller before it parses the body, which is not
// JSON in this test. So such a caller learns nothing, and cannot make the product parse the body.
func TestS82BodiesOfUnauthorizedCallersAreNotParsed(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	tried := 0
	for _, m := range catalog.Methods() {
		if !m.Public || m.Access.GetPublic() {
			continue
		}
		for _, route := range m.Routes {
			if route.Verb == http.MethodGet || route.Verb == http.MethodDelete {
				continue
			}
			tried++
			for _, size := range []int{10, 100 << 10} {
				body := []byte(`{"x":` + strings.Repeat("1", size))
				status, said, header := sendBody(t, i, "", route.Verb, pathOf(route), "application/json", body)
				if status != http.StatusUnauthorized || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer ") {
					t.Errorf("%s %s of %d bytes: %d %s", route.Verb, route.Path, size, status, said)
				}
				if size < 64<<10 {
					continue // a small body with a credential is decoded first
				}
				if status, said, _ := sendBody(t, i, "e30.e30.x", route.Verb, pathOf(route), "application/json", body); status != http.StatusUnauthorized {
					t.Errorf("%s %s with a forged token: %d %s", route.Verb, route.Path, status, said)
				}
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d routes were tried", tried)
	}
}

// pathOf returns a path that matches a route.
func pathOf(route catalog.Route) string {
	path := route.Path
	for strings.Contains(path, "{") {
		path = path[:strings.Index(path, "{")] + "x" + path[strings.Index(path, "}")+1:]
	}
	return path
}

// S82: bodies that are expensive to parse are refused for their size.
func TestS82ExpensiveBodiesAreRefusedByTheirSize(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	narrow, _ := createKey(t, i, owner, "members.read")
	ids := `{"query":"x","collectionIds":[` + strings.TrimSuffix(strings.Repeat(`"no id",`, 9_000), ",") + `]}`
	deep := `{"challengeId":"x","credential":{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`
	var unknown bytes.Buffer
	for n := range 9000 {
		fmt.Fprintf(&unknown, `,"f%d":1`, n)
	}
	for name, tc := range map[string]struct {
		credential, path, body string
		status                 int
		field                  string
		violations             int
	}{
		"too many ids, anonymous":         {"", "/v1/knowledge:search", ids, 401, "", 0},
		"too many ids, without the scope": {narrow.AccessToken, "/v1/knowledge:search", ids, 403, "", 0},
		"too many ids":                    {owner.AccessToken, "/v1/knowledge:search", ids, 400, "collectionIds", 1},
		"a deep structure":                {"", "/v1/auth/passkeys:finish", deep, 400, "credential", 1},
		"unknown fields at sign-in":       {"", "/v1/auth/sign-in", `{"email":"x"` + unknown.String() + "}", 413, "", 0},
		"too many values":                 {owner.AccessToken, "/v1/knowledge:search", ids[:len(ids)-1] + unknown.String() + "}", 400, "", 0},
		"unknown fields":                  {owner.AccessToken, "/v1/knowledge:search", `{"query":"x"` + unknown.String() + "}", 400, "f0", 20},
		"a valid request":                 {owner.AccessToken, "/v1/knowledge:search", `{"query":"x"}`, 200, "", 0},
		"invalid ids, within the size":    {owner.AccessToken, "/v1/knowledge:search", `{"query":"x","collectionIds":["no id","no"]}`, 400, "collectionIds[0]", 2},
	} {
		status, said, _ := sendBody(t, i, tc.credential, http.MethodPost, tc.path, "application/json", []byte(tc.body))
		var p problem
		if err := json.Unmarshal(said, &p); err != nil {
			t.Fatal(err)
		}
		if status != tc.status || len(p.Violations) != tc.violations || tc.field != "" && p.Violations[0].Field != tc.field {
			t.Errorf("%s: %d %.500s", name, status, said)
		}
	}
}
