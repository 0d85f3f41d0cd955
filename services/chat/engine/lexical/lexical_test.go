package lexical_test

import (
	"strings"
	"testing"

	"github.com/gatehouse/gatehouse/services/chat/engine/lexical"
)

func TestWords_SplitsAndFilters(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"The Company's rules, v2!":  "the company rules v2",
		"Größe: 5 m² – naïve":       "größe 5 m naïve",
		"":                          "",
		"don't 'quote' rock’n’roll": "don quote rock",
	}
	for text, want := range cases {
		if got := strings.Join(lexical.Words(text), " "); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := strings.Join(lexical.Content("What is the limit of the API?"), " "); got != "limit api" {
		t.Errorf("content %q", got)
	}
}

func TestStem_FormsOfOneWord_AreEqual(t *testing.T) {
	t.Parallel()
	families := [][]string{
		{"manage", "manages", "managed", "managing"}, {"policy", "policies"}, {"run", "runs", "running"}, {"box", "boxes"},
		{"stop", "stopped", "stopping"}, {"call", "calls", "called", "calling"}, {"employee", "employees"}, {"class", "classes"},
	}
	for _, family := range families {
		for _, word := range family[1:] {
			if lexical.Stem(word) != lexical.Stem(family[0]) {
				t.Errorf("%s is %s, %s is %s", word, lexical.Stem(word), family[0], lexical.Stem(family[0]))
			}
		}
	}
	for _, word := range []string{"status", "this", "ring", "red", "größe", "v2"} {
		if got := lexical.Stem(word); got != word {
			t.Errorf("%s became %s", word, got)
		}
	}
}

func TestSimilarity_Misspelled_IsHigh(t *testing.T) {
	t.Parallel()
	alike := [][2]string{{"vacation", "vacaton"}, {"receipt", "reciept"}, {"größe", "größe"}, {"parental", "parentel"}}
	for _, pair := range alike {
		if s := lexical.Similarity(pair[0], pair[1]); s < 0.45 {
			t.Errorf("%v: %.2f", pair, s)
		}
	}
	unlike := [][2]string{{"2018", "2019"}, {"cat", "cats"}, {"vacation", "location"}, {"parental", "rental"}, {"version1", "version2"}}
	for _, pair := range unlike {
		if s := lexical.Similarity(pair[0], pair[1]); s >= 0.6 {
			t.Errorf("%v: %.2f", pair, s)
		}
	}
}
