package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// modelFaults has the model server commit what such servers commit. Before the
// first word a call is repeated; after it the run fails, and keeps its text.
func modelFaults(t *testing.T, i *installation) {
	whole := modelstub.Reply{Text: words(12)}
	for _, tc := range []struct {
		name    string
		replies []modelstub.Reply
		reason  string // of the failure; empty where there is none
		calls   int
		text    string
	}{
		{"busy, then well", []modelstub.Reply{{Status: http.StatusTooManyRequests, RetryAfter: time.Second}, whole}, "", 2, joinedWords(12)},
		{"broken, then well", []modelstub.Reply{{Status: http.StatusInternalServerError}, whole}, "", 2, joinedWords(12)},
		{"busy for long", []modelstub.Reply{{Status: http.StatusTooManyRequests, RetryAfter: time.Hour}}, "PROVIDER_RATE_LIMITED", 1, ""},
		{"broken", []modelstub.Reply{{Status: http.StatusInternalServerError}}, "PROVIDER_UNAVAILABLE", 3, ""},
		{"a key that it does not know", []modelstub.Reply{{Status: http.StatusUnauthorized}}, "PROVIDER_AUTHENTICATION", 1, ""},
		{"garbage", []modelstub.Reply{{RawBody: "<html>It works!</html>"}}, "PROVIDER_BROKEN_STREAM", 3, ""},
		{"reset in mid-stream", []modelstub.Reply{{Text: words(12), Break: modelstub.Reset, BreakAfter: 6}}, "PROVIDER_BROKEN_STREAM", 1, joinedWords(6)},
		{"an error in mid-stream", []modelstub.Reply{{Text: words(12), Break: modelstub.ErrorEvent, BreakAfter: 6}}, "PROVIDER_BROKEN_STREAM", 1, joinedWords(6)},
		{"an end without a finish", []modelstub.Reply{{Text: words(12), Break: modelstub.CleanEOF, BreakAfter: 6}}, "PROVIDER_BROKEN_STREAM", 1, joinedWords(6)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := i.newUser(t)
			question, conversationID := t.Name(), c.conversation()
			i.model.script(question, tc.replies...)
			log := c.ask(conversationID, question, stubModel).readAll()
			state := chatv1.Run_COMPLETED
			if tc.reason != "" {
				state = chatv1.Run_FAILED
			}
			checkStored(t, c, conversationID, log, state)
			failure := log[len(log)-1].event.GetRunFailed().GetError()
			if failure.GetReason() != tc.reason || (failure.GetDetail() == "") != (tc.reason == "") {
				t.Errorf("failed with %v, want %q", failure, tc.reason)
			}
			if stored := c.run(log[0].event.GetRunId()).Error; (stored == nil) != (tc.reason == "") || stored != nil && stored.Reason != tc.reason {
				t.Errorf("the run reads as failed with %+v", stored)
			}
			if deltaText(log) != tc.text {
				t.Errorf("readers saw %q, want %q", deltaText(log), tc.text)
			}
			if asked := i.model.callCount(question); asked != tc.calls {
				t.Errorf("the model was asked %d times, want %d", asked, tc.calls)
			}
			// The next message is answered; the provider's failures are forgotten.
			if next := c.ask(conversationID, "And now?", stubModel).readAll(); next[len(next)-1].name != "run.completed" {
				t.Errorf("the next message: %s", eventNames(next))
			}
		})
	}
}

func joinedWords(n int) string { return strings.Join(words(n), "") }
