package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxTokenBytes bounds what is decoded at all: a token of ours is under 1 KiB.
const maxTokenBytes = 8 << 10

var errMalformed = errors.New("malformed token")

// header is what a token of ours says of itself, and all that it may say: a
// header with crit, jku, jwk or x5u is refused unread.
type header struct {
	Alg, Typ, Kid string
}

// inspect checks what the JWT library does not: size, shape, the header's
// members, and duplicate names, which parsers resolve differently.
func inspect(token string) (header, error) {
	if len(token) > maxTokenBytes {
		return header{}, fmt.Errorf("%w: %d bytes", errMalformed, len(token))
	}
	// The decoder skips line breaks: two texts would be one token.
	if strings.ContainsAny(token, " \t\r\n") {
		return header{}, fmt.Errorf("%w: white space", errMalformed)
	}
	if strings.Count(token, ".") != 2 {
		return header{}, fmt.Errorf("%w: not three parts", errMalformed)
	}
	rawHeader, rest, _ := strings.Cut(token, ".")
	rawClaims, _, _ := strings.Cut(rest, ".")
	members, err := uniqueMembers(rawHeader)
	if err != nil {
		return header{}, fmt.Errorf("header: %w", err)
	}
	var h header
	for name, value := range members {
		var target *string
		switch name {
		case "alg":
			target = &h.Alg
		case "typ":
			target = &h.Typ
		case "kid":
			target = &h.Kid
		default:
			return header{}, fmt.Errorf("%w: header member %q", errMalformed, name)
		}
		if err := json.Unmarshal(value, target); err != nil {
			return header{}, fmt.Errorf("%w: header member %q", errMalformed, name)
		}
	}
	if _, err := uniqueMembers(rawClaims); err != nil {
		return header{}, fmt.Errorf("claims: %w", err)
	}
	return h, nil
}

// uniqueMembers decodes a base64url JSON object and refuses a name that
// appears twice, also in another case.
func uniqueMembers(part string) (map[string]json.RawMessage, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%w: not an object", errMalformed)
	}
	members, seen := map[string]json.RawMessage{}, map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		key, _ := name.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w: %w", errMalformed, err)
		}
		folded := strings.ToLower(key)
		if seen[folded] {
			return nil, fmt.Errorf("%w: %q twice", errMalformed, key)
		}
		seen[folded] = true
		members[key] = value
	}
	if _, err := decoder.Token(); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: trailing data", errMalformed)
	}
	return members, nil
}
