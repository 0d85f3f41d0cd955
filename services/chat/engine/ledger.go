package engine

import (
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// ledger numbers the passages of a run. A passage has one number, even when two searches
// find it.
type ledger struct {
	passages []tool.Passage
	// searched reports that a search was made, even one without results.
	searched bool
	// suspicious reports that a passage reads like an instruction.
	suspicious bool
}

// add numbers the passages of a search. It leaves out a passage whose offsets do not fit its
// text, because its citation would be wrong.
func (l *ledger) add(passages []tool.Passage) []tool.Numbered {
	l.searched = true
	numbered := make([]tool.Numbered, 0, len(passages))
	for _, p := range passages {
		if p.Text == "" || utf8.RuneCountInString(p.Text) != p.EndOffset-p.StartOffset {
			continue
		}
		l.suspicious = l.suspicious || commands(p.Text)
		numbered = append(numbered, tool.Numbered{Number: l.number(p), Passage: p})
	}
	return numbered
}

func (l *ledger) number(p tool.Passage) int {
	for i, known := range l.passages {
		if known.ChunkID == p.ChunkID && known.DocumentID == p.DocumentID && known.StartOffset == p.StartOffset {
			return i + 1
		}
	}
	l.passages = append(l.passages, p)
	return len(l.passages)
}

// passage returns the passage with a number.
func (l *ledger) passage(number int) (tool.Passage, bool) {
	if number < 1 || number > len(l.passages) {
		return tool.Passage{}, false
	}
	return l.passages[number-1], true
}

// commands reports whether a text seems to give instructions to the model. This only sets a
// flag. Tools have the rights of the caller in any case.
func commands(text string) bool {
	text = strings.Join(strings.Fields(strings.ToLower(text)), " ")
	for _, phrase := range []string{
		"ignore all previous", "ignore previous instructions", "ignore the above", "ignore your instructions", "ignore all instructions", "ignore prior instructions",
		"disregard previous", "disregard all", "disregard the above", "forget your instructions", "you are now ", "reveal your system prompt", "your system prompt",
		"<|im_start|>", "[system]", "ignoriere alle", "ignoriere die vorherigen", "vergiss alle anweisungen",
	} {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}
