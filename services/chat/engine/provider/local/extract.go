package local

import (
	"cmp"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
	"github.com/gatehouse/gatehouse/services/chat/engine/tool"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/split"
)

const (
	// maxSentences is the largest number of sentences of an answer.
	maxSentences = 4
	// threshold is the part of a question's weight that a sentence and its context must
	// cover.
	threshold = 0.62
	// company is the smallest score of the other sentences, relative to the best one.
	company = 0.8
	// alike is the share of common words above which two sentences count as the same.
	alike = 0.6
	// These are the weights of a word that is not in the sentence itself, but in a heading
	// above it, in the document's title, or in a neighboring sentence.
	byHeading  = 0.9
	byTitle    = 0.7
	byNeighbor = 0.6
	// opening is the bonus of the first sentence under a matching heading.
	opening = 0.08
	// maxQuoted is the largest length of a quoted sentence, in bytes.
	maxQuoted = 700
)

// quoted is a sentence of the answer.
type quoted struct {
	number int
	text   string
}

// candidate is a sentence that may be part of the answer.
type candidate struct {
	quoted
	order int
	stems []string
	score float64
}

// extract returns the sentences that answer a question, best first. It returns none when no
// sentence does.
func extract(question string, passages []tool.Numbered) []quoted {
	q := readQuery(question)
	terms := q.terms
	if len(terms) == 0 || len(passages) == 0 {
		return nil
	}
	read := make([]passage, 0, len(passages))
	for _, p := range passages {
		read = append(read, readPassage(p, terms))
	}
	weigh(terms, read)
	var candidates []candidate
	for _, p := range read {
		candidates = append(candidates, p.candidates(q, len(candidates))...)
	}
	return choose(candidates)
}

// passage is a passage with its sentences, and how well each matches the question.
type passage struct {
	number    int
	title     []float64
	sentences []sentence
}

type sentence struct {
	text string
	// own is how well the sentence matches each term of the question.
	own []float64
	// above is the same for the headings above it, or for a question in the text before it.
	above []float64
	stems []string
	// first reports that it is the first statement under its heading.
	first bool
	// silent reports that it makes no statement: it is a heading, a question or code.
	silent bool
}

func readPassage(p tool.Numbered, terms []term) passage {
	read := passage{number: p.Number, title: matches(terms, lexical.Stems(p.Title))}
	above, first := make([]float64, len(terms)), true
	for _, s := range split.Sentences(p.Text) {
		stems := lexical.Stems(s.Text)
		current := sentence{
			text: strings.Join(strings.Fields(s.Text), " "), stems: stems, own: matches(terms, stems), above: above, first: first,
			silent: s.Heading || isQuestion(s.Text) || strings.HasPrefix(s.Text, "```") || len(s.Text) > maxQuoted || len(stems) < 2,
		}
		read.sentences = append(read.sentences, current)
		switch {
		case s.Heading:
			above, first = current.own, true
		case isQuestion(s.Text):
			above, first = best(above, current.own, 1), true
		default:
			first = false
		}
	}
	return read
}

// isQuestion reports whether a sentence is a question. Emphasis and quotes may surround it.
func isQuestion(text string) bool {
	return strings.HasSuffix(strings.TrimRight(text, "*_\"” "), "?")
}

// matches reports whether the passage matches a term.
func (p passage) matches(term int) bool {
	if p.title[term] > 0 {
		return true
	}
	for _, s := range p.sentences {
		if s.own[term] > 0 {
			return true
		}
	}
	return false
}

// candidates returns the sentences of a passage that reach the threshold, with their scores.
func (p passage) candidates(q query, order int) []candidate {
	terms := q.terms
	var out []candidate
	for i, s := range p.sentences {
		if s.silent || (q.wantsNumber && !hasNumber(s.text)) {
			continue
		}
		around := best(s.own, s.above, byHeading)
		around = best(around, p.title, byTitle)
		if i > 0 && !p.sentences[i-1].silent {
			around = best(around, p.sentences[i-1].own, byNeighbor)
		}
		if i+1 < len(p.sentences) && !p.sentences[i+1].silent {
			around = best(around, p.sentences[i+1].own, byNeighbor)
		}
		own, above, covered := coverage(terms, s.own), coverage(terms, s.above), coverage(terms, around)
		if covered < threshold || (own == 0 && above < threshold) {
			continue
		}
		score := 0.6*covered + 0.4*own
		if s.first && above >= threshold {
			score += opening
		}
		out = append(out, candidate{quoted: quoted{number: p.number, text: s.text}, order: order + i, stems: s.stems, score: score})
	}
	return out
}

// choose returns the best sentences. They differ from each other, and their scores are close
// to the best score.
func choose(candidates []candidate) []quoted {
	slices.SortStableFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.order, b.order))
	})
	var chosen []candidate
	for _, c := range candidates {
		if len(chosen) == maxSentences || (len(chosen) > 0 && c.score < company*chosen[0].score) {
			break
		}
		if !slices.ContainsFunc(chosen, func(other candidate) bool { return overlap(c.stems, other.stems) > alike }) {
			chosen = append(chosen, c)
		}
	}
	answer := make([]quoted, 0, len(chosen))
	for _, c := range chosen {
		answer = append(answer, c.quoted)
	}
	return answer
}

// best returns the better match of each term: that in own, or that in other with a discount.
func best(own, other []float64, discount float64) []float64 {
	out := make([]float64, len(own))
	for i := range own {
		out[i] = max(own[i], discount*other[i])
	}
	return out
}

// overlap returns the Jaccard index of two lists of stems.
func overlap(a, b []string) float64 {
	set := make(map[string]bool, len(a))
	for _, stem := range a {
		set[stem] = true
	}
	shared, union := 0, len(set)
	seen := make(map[string]bool, len(b))
	for _, stem := range b {
		if seen[stem] {
			continue
		}
		seen[stem] = true
		if set[stem] {
			shared++
		} else {
			union++
		}
	}
	if union == 0 {
		return 0
	}
	return float64(shared) / float64(union)
}
