package surface_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/gatehouse/gatehouse/cmd/internal/inprocess"
)

// readExport requests an export. It returns the records by kind, and the text.
func readExport(t *testing.T, i *inprocess.Installation, s inprocess.Session) (map[string][]json.RawMessage, string) {
	t.Helper()
	resp := i.Request(t, s, http.MethodPost, "/v1/me:export", map[string]string{})
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" ||
		!strings.Contains(resp.Header.Get("Content-Disposition"), "attachment") {
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, raw)
	}
	var document struct{ Records []map[string]json.RawMessage }
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	out := map[string][]json.RawMessage{}
	var kinds []string
	for _, record := range document.Records {
		if len(record) != 1 {
			t.Fatalf("a record of %d members", len(record))
		}
		for kind, value := range record {
			out[kind] = append(out[kind], value)
			if !slices.Contains(kinds, kind) {
				kinds = append(kinds, kind)
			}
		}
	}
	if got := strings.Join(kinds, " "); !strings.HasPrefix("account factors organization session apiKey passkey grant identity conversation message", got) {
		t.Errorf("the order of the kinds is %s", got)
	}
	return out, string(raw)
}

// An export contains all data of the user in every organization, over several pages of the
// stores, and no data of others.
func TestExportMe_UserInTwoOrganizations_ContainsAllItsData(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner, other, operator := i.SignUp(t, "owner@example.com"), i.SignUp(t, "other@example.com"), i.SignIn(t)
	populate(t, i, owner)
	i.Create(t, other, "/v1/conversations", map[string]string{"title": "Not to be seen"})
	inprocess.Decode(t, i.Request(t, operator, http.MethodPost, "/v1/organizations/"+other.OrganizationID+"/members",
		map[string]any{"userId": owner.UserID, "roles": []string{"viewer"}}), &struct{}{})
	for n := range 120 {
		i.Database.AdminExec(t, `INSERT INTO chat.conversations (organization_id, id, user_id, title, created_at, updated_at)
			VALUES ($1, gen_random_uuid(), $2, $3, now(), now())`, other.OrganizationID, owner.UserID, fmt.Sprintf("Elsewhere %d", n))
	}
	i.Database.AdminExec(t, `INSERT INTO chat.messages (organization_id, id, user_id, conversation_id, role, content, created_at)
		SELECT organization_id, gen_random_uuid(), user_id, id, 1, 'Line ' || n, now() + n * interval '1 ms'
		FROM chat.conversations, generate_series(1, 150) n WHERE user_id = $1 AND title = 'Elsewhere 7'`, owner.UserID)
	owner = i.Switch(t, owner, owner.OrganizationID) // the new token records that the passkey was used
	records, text := readExport(t, i, owner)
	for kind, want := range map[string]int{
		"account": 1, "factors": 1, "organization": 2, "session": 2, "apiKey": 1, "passkey": 1, "grant": 1, "identity": 1, "conversation": 121, "message": 152,
	} {
		if got := len(records[kind]); got != want {
			t.Errorf("%d records of %s, want %d", got, kind, want)
		}
	}
	if !bytes.Contains(records["account"][0], []byte("owner@example.com")) || !bytes.Contains(records["apiKey"][0], []byte(`"prefix":"gh_`)) {
		t.Errorf("the account is %s, its key %s", records["account"][0], records["apiKey"][0])
	}
	last := 0
	for _, m := range records["message"] {
		var message struct{ Content string }
		if err := json.Unmarshal(m, &message); err != nil {
			t.Fatal(err)
		}
		var n int
		if _, err := fmt.Sscanf(message.Content, "Line %d", &n); err == nil {
			if n != last+1 {
				t.Errorf("line %d follows line %d", n, last)
			}
			last = n
		}
	}
	for _, secret := range []string{"other@example.com", "Not to be seen", "argon2", "secretHash"} {
		if strings.Contains(text, secret) {
			t.Errorf("the export contains %q", secret)
		}
	}
	if n := query(t, i.Database, pgx.RowTo[int],
		"SELECT count(*) FROM audit.events WHERE action = 'chat.user.exported' AND actor_id = $1", owner.UserID)[0]; n != 1 {
		t.Errorf("the audit trail has %d exports", n)
	}
}

// S18, S33: an export is refused to a session that is not fresh, a session without the second
// factor, and an API key.
func TestS18ExportNeedsAFreshSignIn(t *testing.T) {
	t.Parallel()
	i := inprocess.Start(t, nil)
	owner := i.SignUp(t, "owner@example.com")
	expectRefusal := func(caller string, s inprocess.Session, status int, reason string) {
		t.Helper()
		resp := i.Request(t, s, http.MethodPost, "/v1/me:export", map[string]string{})
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status || !bytes.Contains(raw, []byte(reason)) || bytes.Contains(raw, []byte("records")) {
			t.Errorf("%s: %d %s", caller, resp.StatusCode, raw)
		}
	}
	secret, _ := createKey(t, i, owner, "chat.read")
	expectRefusal("an API key", secret, http.StatusForbidden, "INSUFFICIENT_SCOPE")
	expectRefusal("nobody", inprocess.Session{}, http.StatusUnauthorized, "UNAUTHENTICATED")
	readExport(t, i, owner)
	i.Database.AdminExec(t, "UPDATE auth.sessions SET auth_time = now() - interval '6 minutes' WHERE user_id = $1", owner.UserID)
	expectRefusal("a session that is not fresh", i.Switch(t, owner, owner.OrganizationID), http.StatusForbidden, "STEP_UP_REQUIRED")
	createPasskey(t, i, owner)
	expectRefusal("a session without the second factor", owner, http.StatusForbidden, "STEP_UP_REQUIRED")
}
