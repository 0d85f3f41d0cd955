package engine

import (
	"strings"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/split"
)

// maxClaim is how many bytes of the text before a marker are compared.
const maxClaim = 4000

// bestQuote returns the sentence of a passage that supports a claim. It is the sentence with
// which the claim ends, word for word, or else the one most similar to the last sentence of
// the claim. There is always one, because the model has stated that it used the passage.
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

// flatten returns a text in a form for comparison: with single spaces, and without
// punctuation at the end.
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

// mostAlike returns the index of the sentence that is most similar to a claim, by the Dice
// coefficient of their stems. Headings count only when there is no other sentence.
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
