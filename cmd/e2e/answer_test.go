package e2e_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	chatv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/chat/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/modelstub"
)

// handbookText has characters of one to four bytes before the passage that is cited, so
// that offsets that count anything but code points are wrong.
const handbookText = "# Überblick 🏖️\n\nDas Wichtigste für alle – kurz und knapp.\n\n" +
	"# Leave\n\nEvery employee has 28 days of paid leave a year. Request it two weeks ahead.\n\n" +
	"# Reisen\n\nZüge werden in der zweiten Klasse gebucht. Flights need the approval of a manager.\n"

const leaveQuestion = "How many days of paid leave does an employee have?"

func citedAnswer(t *testing.T, i *installation) {
	c := i.newUser(t)
	collectionID, documentID := c.handbook(handbookText)
	sent := c.ask(c.conversation(collectionID), leaveQuestion, "").readAll()
	last := checkComplete(t, sent)
	answer := last.event.GetRunCompleted().GetMessage()
	if !strings.Contains(answer.GetContent(), "28 days") {
		t.Errorf("%s with %q", last.name, answer.GetContent())
	}
	checkCitations(t, c, documentID, sent, answer.GetCitations())
	resumeEverywhere(t, c, sent)
}

// checkCitations holds every citation against the document's text, and its
// place in the log against that of its marker.
func checkCitations(t *testing.T, c *client, documentID string, sent []frame, final []*chatv1.Citation) {
	t.Helper()
	content := c.get("/v1/documents/" + documentID + "/content")
	if kind := content.header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
		t.Errorf("the document's text is %s", kind)
	}
	text := []rune(string(content.body))
	if string(text) != handbookText {
		t.Errorf("the text is %q", string(text))
	}
	if len(final) == 0 {
		t.Fatal("the answer cites nothing")
	}
	cited := map[string]bool{}
	for _, f := range sent {
		if citation := f.event.GetCitation(); citation != nil {
			cited["["+strconv.Itoa(int(citation.GetIndex()))+"]"] = true
		}
		for marker := range strings.SplitAfterSeq(f.event.GetMessageDelta().GetText(), "]") {
			if at := strings.LastIndex(marker, "["); at >= 0 && !cited[marker[at:]] {
				t.Errorf("the marker %s comes before its citation", marker[at:])
			}
		}
	}
	for _, citation := range final {
		if citation.GetDocumentId() != documentID || citation.GetQuote() == "" {
			t.Errorf("citation %v", citation)
		}
		if quote := string(text[citation.GetStartOffset():citation.GetEndOffset()]); quote != citation.GetQuote() {
			t.Errorf("citation %d quotes %q, the document says %q", citation.GetIndex(), citation.GetQuote(), quote)
		}
	}
}

// resumeEverywhere reads a finished run again from each of its positions, in
// each way that the contract has.
func resumeEverywhere(t *testing.T, c *client, sent []frame) {
	t.Helper()
	path := "/v1/runs/" + sent[0].event.GetRunId() + "/events"
	for after := range len(sent) + 1 {
		position := strconv.Itoa(after)
		for _, r := range []request{
			{method: http.MethodGet, path: path, header: map[string]string{"Last-Event-ID": position}},
			{method: http.MethodGet, path: path + "?afterSeq=" + position},
			// EventSource reconnects to its first URL: the header has priority.
			{method: http.MethodGet, path: path + "?afterSeq=0", header: map[string]string{"Last-Event-ID": position}},
		} {
			if after == len(sent) {
				if end := c.do(r); end.status != http.StatusNoContent || len(end.body) != 0 {
					t.Errorf("at the end: %d %s", end.status, end.body)
				}
				continue
			}
			if again := c.stream(r).readAll(); rawText(again) != rawText(sent[after:]) {
				t.Fatalf("after %d another reader sees\n%s\nwant\n%s", after, rawText(again), rawText(sent[after:]))
			}
		}
	}
}

func twoReaders(t *testing.T, i *installation) {
	c := i.newUser(t)
	question, gate := t.Name(), make(chan struct{})
	i.model.script(question, modelstub.Reply{Text: words(60), Hold: gate, HoldAfter: 20})
	first := c.ask(c.conversation(), question, stubModel)
	beginning := first.readDeltas(10)
	second := c.follow(beginning[0].event.GetRunId(), 0)
	ahead := second.readDeltas(15)
	const late = 5
	third := c.follow(beginning[0].event.GetRunId(), late)
	close(gate)
	one, other := slices.Concat(beginning, first.readAll()), slices.Concat(ahead, second.readAll())
	checkComplete(t, one)
	if rawText(one) != rawText(other) {
		t.Errorf("one reader saw\n%s\nthe other\n%s", rawText(one), rawText(other))
	}
	if rest := third.readAll(); rawText(rest) != rawText(one[late:]) {
		t.Errorf("a reader that reconnected in the middle of the stream received\n%s\nwant\n%s", rawText(rest), rawText(one[late:]))
	}
}

func noAnswer(t *testing.T, i *installation) {
	c := i.newUser(t)
	collectionID, _ := c.handbook(handbookText)
	sent := c.ask(c.conversation(collectionID), "Which planet is closest to the sun?", "").readAll()
	answer := checkComplete(t, sent).event.GetRunCompleted().GetMessage()
	if !slices.Contains(answer.GetFlags(), chatv1.AnswerFlag_NO_ANSWER) || len(answer.GetCitations()) > 0 || answer.GetContent() == "" {
		t.Errorf("answered %v", answer)
	}
}
