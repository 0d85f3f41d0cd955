package engine

import (
	"strings"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/split"
)

// maxClaim is how much text before a marker is looked at, in bytes.
const maxClaim = 4000

// bestQuote is the sentence of a passage that a claim rests on: the one that the claim ends
// with, word for word, else the one most like the claim's last sentence. There always is one,
// if only the passage's first: the model said that it used the passage.
func bestQuote(claim, passage string) split.Sentence {
	sentences := split.Sentences(passage)
	if len(sentences) == 0 {
		return split.Sentence{Text: passage, EndOffset: len([]rune(passage))}
	}
	if len(claim) > maxClaim {
		claim = strings.ToValidUTF8(claim[len(claim)-maxClaim:], "")
	}
	flat := flatten(claim)
	best, length := -1, 0
	for i, s := range sentences {
		if text := flatten(s.Text); !s.Heading && len(text) > length && strings.HasSuffix(flat, text) {
			best, length = i, len(text)
		}
	}
	if best >= 0 {
		return sentences[best]
	}
	return sentences[mostAlike(lastSentence(claim), sentences)]
}

// flatten makes text comparable: its space collapsed, and no punctuation at its end.
func flatten(text string) string {
	return strings.TrimRight(strings.Join(strings.Fields(text), " "), ".!?…;:, ")
}

func lastSentence(claim string) string {
	sentences := split.Sentences(claim)
	if len(sentences) == 0 {
		return claim
	}
	return sentences[len(sentences)-1].Text
}

// mostAlike is the index of the sentence that shares most with a claim, by the Dice
// coefficient of their stems; headings only count when there is nothing else.
func mostAlike(claim string, sentences []split.Sentence) int {
	wanted := make(map[string]bool)
	for _, stem := range lexical.Stems(claim) {
		wanted[stem] = true
	}
	best, score := -1, -1.0
	for i, s := range sentences {
		if s.Heading {
			continue
		}
		found := make(map[string]bool)
		shared := 0
		for _, stem := range lexical.Stems(s.Text) {
			if wanted[stem] && !found[stem] {
				shared++
			}
			found[stem] = true
		}
		dice := 0.0
		if total := len(wanted) + len(found); total > 0 {
			dice = 2 * float64(shared) / float64(total)
		}
		if dice > score {
			best, score = i, dice
		}
	}
	return max(best, 0)
}
