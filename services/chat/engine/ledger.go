package engine

import (
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
)

// ledger numbers the passages of a run. A passage that two searches find has one number.
type ledger struct {
	passages []tool.Passage
	// searched says that a search was made, whatever it found.
	searched bool
	// suspicious says that a passage reads like an instruction.
	suspicious bool
}

// add takes the passages of a search and numbers them. One whose offsets contradict its text
// is left out: it could be cited, but its citation would be wrong.
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

// passage finds a passage by its number.
func (l *ledger) passage(number int) (tool.Passage, bool) {
	if number < 1 || number > len(l.passages) {
		return tool.Passage{}, false
	}
	return l.passages[number-1], true
}

// commands says whether a text speaks to the model rather than to a reader. It only raises a
// flag: tools run with the caller's rights whatever a text says.
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
