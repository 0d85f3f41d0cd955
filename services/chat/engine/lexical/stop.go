package lexical

// IsStop reports whether a word, in lower case, has no meaning of its own: an article, a
// pronoun, an auxiliary, a question word, or a word that often surrounds a question.
func IsStop(word string) bool { return isEnglishStop(word) || isGermanStop(word) }

func isEnglishStop(word string) bool {
	switch word {
	case "a", "an", "the", "and", "or", "but", "if", "then", "than", "so", "as", "at", "by", "for", "from", "in", "into", "of", "off", "on",
		"onto", "out", "over", "to", "up", "with", "without", "about", "after", "before", "between", "during", "under", "per", "via",
		"i", "me", "my", "mine", "we", "us", "our", "ours", "you", "your", "yours", "he", "him", "his", "she", "her", "hers", "it", "its",
		"they", "them", "their", "this", "that", "these", "those", "there", "here", "one", "ones",
		"is", "am", "are", "was", "were", "be", "been", "being", "do", "does", "did", "doing", "done", "have", "has", "had", "having",
		"can", "could", "may", "might", "must", "shall", "should", "will", "would", "don", "doesn", "didn", "isn", "aren", "won", "t", "s",
		"what", "which", "who", "whom", "whose", "when", "where", "why", "how", "any", "some", "all", "each", "every", "both", "either",
		"not", "no", "nor", "only", "also", "just", "very", "too", "much", "many", "more", "most", "other", "such", "own", "same", "ever",
		"please", "tell", "say", "says", "said", "know", "explain", "describe", "show", "give", "find", "let", "want", "need", "get", "gets",
		"got", "whether", "while", "because", "again", "yet", "still", "etc", "e", "g":
		return true
	}
	return false
}

func isGermanStop(word string) bool {
	switch word {
	case "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen", "einem", "einer", "eines", "und", "oder", "aber", "wenn", "als",
		"ich", "du", "er", "sie", "es", "wir", "ihr", "mich", "mir", "dich", "dir", "uns", "euch", "mein", "meine", "dein", "deine", "sein",
		"seine", "unser", "unsere", "euer", "ihre", "ihren", "ihrem", "ist", "sind", "bin", "bist", "seid", "war", "waren", "wird", "werden",
		"wurde", "wurden", "hat", "haben", "habe", "hatte", "hatten", "kann", "können", "muss", "müssen", "soll", "sollen", "darf", "dürfen",
		"nicht", "kein", "keine", "auch", "nur", "noch", "schon", "sehr", "mit", "ohne", "von", "vom", "zu", "zum", "zur", "aus",
		"bei", "nach", "vor", "über", "unter", "auf", "für", "im", "ins", "an", "ob", "dass", "wie", "was", "wer", "wo",
		"wann", "warum", "welche", "welcher", "welches", "welchen", "viel", "viele", "bitte", "gibt", "dieser", "diese", "dieses":
		return true
	}
	return false
}
