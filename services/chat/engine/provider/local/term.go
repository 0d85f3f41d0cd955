package local

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
)

const (
	// weakWeight is the weight of words that are common in questions.
	weakWeight = 0.35
	// strictWeight is the weight of names and numbers. An answer about another year or
	// another country is wrong, even when all other words match.
	strictWeight = 2
	// rarity is how much the weight of a word grows when fewer passages match it.
	rarity = 0.3
	// minAffix is the length from which a word may be part of a compound.
	minAffix = 5
	// similar is the smallest similarity of a misspelled word, by trigrams.
	similar = 0.55
	// These are the values of a match that is not the same word.
	bySpelling = 0.85
	byCompound = 0.75
)

// term is a content word of a question.
type term struct {
	stem   string
	weight float64
}

// query is the analysis of a question.
type query struct {
	terms []term
	// wantsNumber reports that an answer needs a number: how many, how much.
	wantsNumber bool
}

func readQuery(question string) query {
	words := " " + strings.Join(lexical.Words(question), " ") + " "
	q := query{terms: questionTerms(question)}
	for _, phrase := range []string{" how many ", " how much ", " how long ", " how often ", " wie viel ", " wie viele ", " wieviel ", " wieviele ", " wie lange ", " wie hoch "} {
		q.wantsNumber = q.wantsNumber || strings.Contains(words, phrase)
	}
	return q
}

// hasNumber reports whether a sentence contains a number, in digits or in words.
func hasNumber(text string) bool {
	if strings.ContainsFunc(text, unicode.IsDigit) {
		return true
	}
	for _, word := range lexical.Words(text) {
		switch word {
		case "one", "two", "twice", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "thirty", "hundred", "thousand",
			"million", "half", "quarter", "no", "none", "zero", "unlimited", "every", "each", "daily", "weekly", "monthly", "yearly", "annually", "hourly", "day", "week", "month", "year",
			"ein", "eine", "einen", "einem", "einmal", "zwei", "zweimal", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf", "zwanzig", "dreißig",
			"hundert", "tausend", "halb", "kein", "keine", "null", "unbegrenzt", "jede", "jeden", "täglich", "wöchentlich", "monatlich", "jährlich", "tag", "woche", "monat", "jahr":
			return true
		}
	}
	return false
}

// questionTerms returns the distinct content words of a question, with their base weights.
func questionTerms(question string) []term {
	names := properNames(question)
	var terms []term
	seen := make(map[string]bool)
	for _, word := range lexical.Content(question) {
		stem := lexical.Stem(word)
		if seen[stem] {
			continue
		}
		seen[stem] = true
		weight := 1.0
		switch {
		case isWeak(word):
			weight = weakWeight
		case names[word] || strings.ContainsFunc(word, unicode.IsDigit):
			weight = strictWeight
		}
		terms = append(terms, term{stem: stem, weight: weight})
	}
	return terms
}

// properNames returns the words that are capitalized within a sentence. It returns none when
// many words are capitalized, because then the language capitalizes all nouns.
func properNames(question string) map[string]bool {
	fields := strings.Fields(question)
	names := make(map[string]bool)
	inner := 0
	for i, field := range fields {
		first, _ := utf8.DecodeRuneInString(strings.TrimLeft(field, "\"'(„“‘"))
		begins := i == 0 || strings.ContainsAny(fields[i-1][len(fields[i-1])-1:], ".?!:")
		if begins {
			continue
		}
		inner++
		if unicode.IsUpper(first) {
			for _, word := range lexical.Words(field) {
				names[word] = true
			}
		}
	}
	if len(names)*5 > inner*2 || isGerman(question) {
		return nil
	}
	return names
}

// isGerman recognizes the language by its most common words.
func isGerman(question string) bool {
	for _, word := range lexical.Words(question) {
		switch word {
		case "der", "die", "das", "wie", "wer", "wann", "warum", "welche", "ist", "sind", "ein", "eine", "und", "gibt", "wo", "wird", "hat", "kann", "muss":
			return true
		}
	}
	return false
}

// weigh raises the weight of terms that few passages match.
func weigh(terms []term, passages []passage) {
	for i := range terms {
		count := 0
		for _, p := range passages {
			if p.matches(i) {
				count++
			}
		}
		terms[i].weight *= 1 + rarity*math.Log(float64(len(passages)+1)/float64(count+1))
	}
}

// coverage returns the part of the terms' weight that is matched.
func coverage(terms []term, matched []float64) float64 {
	var sum, total float64
	for i, t := range terms {
		sum += t.weight * matched[i]
		total += t.weight
	}
	if total == 0 {
		return 0
	}
	return sum / total
}

// matches returns how well the words of a text match each term.
func matches(terms []term, stems []string) []float64 {
	out := make([]float64, len(terms))
	for i, t := range terms {
		for _, stem := range stems {
			out[i] = max(out[i], match(t.stem, stem))
		}
	}
	return out
}

func match(term, word string) float64 {
	switch {
	case term == word:
		return 1
	case len(term) >= minAffix && len(word) >= minAffix && isCompound(term, word):
		return byCompound
	case lexical.Similarity(term, word) >= similar:
		return bySpelling
	default:
		return 0
	}
}

// isCompound reports whether one word is the start or the end of the other, as with Urlaub and
// Urlaubsantrag, or Antrag and Urlaubsantrag.
func isCompound(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(b, a) || strings.HasSuffix(b, a)
}

// isWeak reports whether a word is about the form of a question rather than its subject.
func isWeak(word string) bool {
	switch word {
	case "long", "old", "big", "large", "small", "high", "often", "far", "fast", "quickly", "soon", "number", "amount", "kind", "type", "types", "sort", "mean", "means",
		"happen", "happens", "work", "works", "use", "used", "using", "possible", "allowed", "allow", "thing", "things", "way", "ways", "time", "times", "default",
		"maximum", "minimum", "max", "min", "take", "takes", "make", "makes", "go", "see", "called", "name", "names", "cost", "costs", "exactly", "information",
		"details", "detail", "policy", "rule", "rules", "new", "anything", "something", "document", "documents", "docs", "list", "first", "last", "start", "many",
		"lange", "groß", "hoch", "oft", "gelten", "gilt", "neue", "neuen", "passiert", "heißt", "bedeutet", "dauert", "brauche", "braucht":
		return true
	}
	return false
}
