package local

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
)

const (
	// weakWeight is that of words that questions are made of.
	weakWeight = 0.35
	// strictWeight multiplies the weight of names and numbers: an answer about another
	// year or another country is wrong however well the rest fits.
	strictWeight = 2
	// rarity is how much more a word weighs the fewer passages know it.
	rarity = 0.3
	// minAffix is the length from which a word may be part of a compound.
	minAffix = 5
	// similar is the least trigram similarity of a misspelling.
	similar = 0.55
	// What a match is worth that is not the same word.
	bySpelling = 0.85
	byCompound = 0.75
)

// term is a content word of a question.
type term struct {
	stem   string
	weight float64
}

// query is what a question looks for.
type query struct {
	terms []term
	// wantsNumber says that an answer without a number is none: how many, how much.
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

// hasNumber says whether a sentence holds a number, in digits or in words.
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

// questionTerms are the distinct content words of a question, with their base weights.
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

// properNames are the words that are capitalized within a sentence. Where many are, the
// language capitalizes its nouns, and it means nothing.
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

// isGerman recognizes the language by its small words.
func isGerman(question string) bool {
	for _, word := range lexical.Words(question) {
		switch word {
		case "der", "die", "das", "wie", "wer", "wann", "warum", "welche", "ist", "sind", "ein", "eine", "und", "gibt", "wo", "wird", "hat", "kann", "muss":
			return true
		}
	}
	return false
}

// weigh raises the weight of terms that few passages know.
func weigh(terms []term, passages []passage) {
	for i := range terms {
		known := 0
		for _, p := range passages {
			if p.holds(i) {
				known++
			}
		}
		terms[i].weight *= 1 + rarity*math.Log(float64(len(passages)+1)/float64(known+1))
	}
}

// coverage is the part of the terms' weight that is matched.
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

// matches says for each term how well a text's words hold it.
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

// isCompound says whether one word begins or ends the other, as in Urlaub and
// Urlaubsantrag, Antrag and Urlaubsantrag.
func isCompound(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(b, a) || strings.HasSuffix(b, a)
}

// isWeak says whether a word says how something is asked rather than what.
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
