package openapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/proto/openapi"
)

// maxSummary is the longest summary, in characters.
const maxSummary = 60

// verbs returns the words that a summary may begin with.
func verbs() []string {
	return []string{
		"Accept", "Add", "Answer", "Begin", "Cancel", "Change", "Confirm", "Create", "Delete", "End", "Enroll", "Export", "Finish", "Get",
		"Invite", "List", "Refresh", "Register", "Remove", "Request", "Resend", "Reset", "Restore", "Revoke", "Rotate", "Search", "Send",
		"Set", "Sign", "Stream", "Switch", "Update", "Upload", "Withdraw",
	}
}

// operations returns the summary of each operation, by its id.
func operations(t *testing.T) map[string]string {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			ID      string `json:"operationId"`
			Summary string `json:"summary"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(openapi.JSON(), &document); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, path := range document.Paths {
		for _, operation := range path {
			out[operation.ID] = operation.Summary
		}
	}
	if len(out) < 80 {
		t.Fatalf("only %d operations", len(out))
	}
	return out
}

func TestSummaries_AreShortAndImperative(t *testing.T) {
	t.Parallel()
	for id, summary := range operations(t) {
		verb, _, _ := strings.Cut(summary, " ")
		if !slices.Contains(verbs(), verb) {
			t.Errorf("%s: %q must begin with an imperative verb", id, summary)
		}
		if n := len([]rune(summary)); n > maxSummary {
			t.Errorf("%s: %q has %d characters, at most %d are allowed", id, summary, n, maxSummary)
		}
		if strings.HasSuffix(summary, ".") {
			t.Errorf("%s: %q must not end with a full stop", id, summary)
		}
	}
}

func TestSummaries_AreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for id, summary := range operations(t) {
		if other, taken := seen[summary]; taken {
			t.Errorf("%s and %s: both are %q", id, other, summary)
		}
		seen[summary] = id
	}
}
