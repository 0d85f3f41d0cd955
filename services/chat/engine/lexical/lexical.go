// Package lexical analyzes words without a model. It finds the words of a text, recognizes
// words without meaning and forms of the same word, and compares misspelled words.
//
// It is used where no key is needed: by the hashed embedder, by the extractive model, and to
// find the sentence of a citation. It is deliberately small. It has the stop words of English
// and German, and the endings of English. Words of other languages are compared as they are
// written, and similar words by their trigrams.
package lexical

import (
	"strings"
	"unicode"
)

// Words returns the words of a text in lower case: sequences of letters, digits and their
// marks. It removes an apostrophe and the rest of the word after it, so that "company's" is
// "company".
func Words(text string) []string {
	var words []string
	for _, field := range strings.FieldsFunc(strings.ToLower(text), isSeparator) {
		field = strings.TrimLeft(field, "'’")
		if i := strings.IndexAny(field, "'’"); i > 0 {
			field = field[:i]
		}
		if field != "" {
			words = append(words, field)
		}
	}
	return words
}

func isSeparator(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\'' && r != '’'
}

// Content returns the words of a text that have a meaning, in order.
func Content(text string) []string {
	var content []string
	for _, word := range Words(text) {
		if !IsStop(word) {
			content = append(content, word)
		}
	}
	return content
}

// Stems returns the stems of the content words of a text, in order.
func Stems(text string) []string {
	content := Content(text)
	for i, word := range content {
		content[i] = Stem(word)
	}
	return content
}

// Stem removes the common endings of English words, so that "managing", "managed" and
// "manages" have the same stem. The stem need not be a word.
func Stem(word string) string {
	if len(word) < 4 || !isASCIILetters(word) {
		return word
	}
	switch {
	case strings.HasSuffix(word, "ies") && len(word) > 4:
		word = word[:len(word)-3] + "y"
	case strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "ches"), strings.HasSuffix(word, "shes"), strings.HasSuffix(word, "xes"):
		word = word[:len(word)-2]
	case strings.HasSuffix(word, "s") && !strings.HasSuffix(word, "ss") && !strings.HasSuffix(word, "us") && !strings.HasSuffix(word, "is"):
		word = word[:len(word)-1]
	}
	switch {
	case strings.HasSuffix(word, "ing") && len(word) > 5 && hasVowel(word[:len(word)-3]):
		word = undouble(word[:len(word)-3])
	case strings.HasSuffix(word, "ed") && len(word) > 4 && hasVowel(word[:len(word)-2]):
		word = undouble(word[:len(word)-2])
	}
	if len(word) > 3 && strings.HasSuffix(word, "e") {
		word = word[:len(word)-1]
	}
	if len(word) > 3 && strings.HasSuffix(word, "y") {
		word = word[:len(word)-1] + "i"
	}
	return word
}

func isASCIILetters(word string) bool {
	for i := range len(word) {
		if word[i] < 'a' || word[i] > 'z' {
			return false
		}
	}
	return true
}

func hasVowel(word string) bool { return strings.ContainsAny(word, "aeiouy") }

// undouble returns "run" for "runn", but does not change "call" and "pass".
func undouble(word string) string {
	n := len(word)
	if n > 3 && word[n-1] == word[n-2] && !strings.ContainsRune("lsz", rune(word[n-1])) {
		return word[:n-1]
	}
	return word
}

// minFuzzy is the length from which a misspelled word can be recognized.
const minFuzzy = 5

// Similarity compares two words by their trigrams, and returns a value from 0 to 1. The value
// is 0 or 1 for short words and words with digits: 2019 is not a misspelled 2018. It is 0 for
// words with different first letters, because the first letter is rarely wrong, and rental is
// not a misspelled parental.
func Similarity(a, b string) float64 {
	if a == b {
		return 1
	}
	ra, rb := []rune(a), []rune(b)
	if len(ra) < minFuzzy || len(rb) < minFuzzy || ra[0] != rb[0] || strings.ContainsFunc(a+b, unicode.IsDigit) {
		return 0
	}
	if d := len(ra) - len(rb); d > 3 || d < -3 {
		return 0
	}
	counts := make(map[[3]rune]int)
	ga, gb := trigrams(ra), trigrams(rb)
	for _, g := range ga {
		counts[g]++
	}
	shared := 0
	for _, g := range gb {
		if counts[g] > 0 {
			counts[g]--
			shared++
		}
	}
	return 2 * float64(shared) / float64(len(ga)+len(gb))
}

// trigrams returns the trigrams of a word. It pads the word, so that the start counts more
// than the middle.
func trigrams(word []rune) [][3]rune {
	padded := make([]rune, 0, len(word)+3)
	padded = append(padded, ' ', ' ')
	padded = append(padded, word...)
	padded = append(padded, ' ')
	grams := make([][3]rune, 0, len(padded)-2)
	for i := 0; i+3 <= len(padded); i++ {
		grams = append(grams, [3]rune(padded[i:i+3]))
	}
	return grams
}
