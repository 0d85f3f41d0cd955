package main

import "testing"

func TestSplitComment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ comment, summary, description string }{
		"a single sentence is summary and description": {"Get a role.", "Get a role", "Get a role."},
		"further sentences are the description": {
			"Create a role. Names are unique. Requires a sign-in.", "Create a role", "Names are unique. Requires a sign-in.",
		},
		"a further paragraph is the description": {"List roles.\n\nOldest first.", "List roles", "Oldest first."},
		"a full stop within a word ends nothing": {"Rename assistant.id in place. It is final.", "Rename assistant.id in place", "It is final."},
		"no comment gives no text":               {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			summary, description := splitComment(c.comment)
			if summary != c.summary || description != c.description {
				t.Errorf("%q and %q, want %q and %q", summary, description, c.summary, c.description)
			}
		})
	}
}
