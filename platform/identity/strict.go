package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxTokenBytes bounds the size of a token before it is decoded. Most tokens of auth are
// below 1 KiB.
const maxTokenBytes = 8 << 10

var errMalformed = errors.New("malformed token")

// header contains the only allowed members of a token's header. A header with crit, jku,
// jwk or x5u is refused.
type header struct {
	Alg, Typ, Kid string
}

// inspect makes the checks that the JWT library does not make: size, form, the members of
// the header, and duplicate names, which parsers treat differently.
func inspect(token string) (header, error) {
	if len(token) > maxTokenBytes {
		return header{}, fmt.Errorf("%w: %d bytes", errMalformed, len(token))
	}
	// The decoder skips line breaks, so two different texts would be the same token.
	if strings.ContainsAny(token, " \t\r\n") {
		return header{}, fmt.Errorf("%w: white space", errMalformed)
	}
	if strings.Count(token, ".") != 2 {
		return header{}, fmt.Errorf("%w: not three parts", errMalformed)
	}
	rawHeader, rest, _ := strings.Cut(token, ".")
	rawClaims, _, _ := strings.Cut(rest, ".")
	var h header
	err := eachMember(rawHeader, func(name, value string) error {
		var target *string
		switch name {
		case "alg":
			target = &h.Alg
		case "typ":
			target = &h.Typ
		case "kid":
			target = &h.Kid
		}
		if target == nil || json.Unmarshal([]byte(value), target) != nil {
			return fmt.Errorf("%w: header member %q", errMalformed, name)
		}
		return nil
	})
	if err != nil {
		return header{}, fmt.Errorf("header: %w", err)
	}
	if err := eachMember(rawClaims, func(string, string) error { return nil }); err != nil {
		return header{}, fmt.Errorf("claims: %w", err)
	}
	return h, nil
}

// eachMember decodes a base64url JSON object, and calls a function with each name and
// the JSON of its value. It refuses a name that appears twice, also in another case. It
// scans the text itself, because encoding/json would allocate more than the rest of a
// verification.
func eachMember(part string, each func(name, value string) error) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return fmt.Errorf("%w: %w", errMalformed, err)
	}
	// In valid JSON, every string and every value has an end, so the code below finds it.
	if !json.Valid(raw) {
		return fmt.Errorf("%w: no JSON", errMalformed)
	}
	rest, isObject := strings.CutPrefix(strings.Trim(string(raw), white), "{")
	if !isObject {
		return fmt.Errorf("%w: not an object", errMalformed)
	}
	seen := map[string]bool{}
	for {
		if rest = strings.TrimLeft(rest, white+","); rest[0] == '}' {
			return nil
		}
		var name, value string
		if name, rest, err = cutName(rest); err != nil {
			return err
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return fmt.Errorf("%w: %q twice", errMalformed, name)
		}
		seen[folded] = true
		rest = strings.TrimLeft(rest, white+":")
		end := valueEnd(rest)
		value, rest = rest[:end], rest[end:]
		if err := each(name, value); err != nil {
			return err
		}
	}
}

// white contains the white space of JSON.
const white = " \t\r\n"

// cutName cuts the string from the beginning of valid JSON.
func cutName(text string) (name, rest string, err error) {
	end := stringEnd(text)
	name, rest = text[1:end-1], text[end:]
	if strings.ContainsFunc(name, func(r rune) bool { return r == '\\' || r >= utf8.RuneSelf }) {
		// The parser of the claims decodes names in the same way.
		if err := json.Unmarshal([]byte(text[:end]), &name); err != nil {
			return "", "", fmt.Errorf("%w: %w", errMalformed, err)
		}
	}
	return name, rest, nil
}

// stringEnd returns the length of the string at the beginning of valid JSON.
func stringEnd(text string) int {
	for i := 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// valueEnd returns the length of the value at the beginning of the rest of a valid
// object.
func valueEnd(text string) int {
	depth := 0
	for i := 0; ; i++ {
		switch text[i] {
		case '"':
			i += stringEnd(text[i:]) - 1
		case '{', '[':
			depth++
		case ']':
			depth--
		case '}':
			if depth--; depth < 0 {
				return i
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
}
