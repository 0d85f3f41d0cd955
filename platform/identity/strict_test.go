package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
)

// membersByLibrary is eachMember, implemented with encoding/json.
func membersByLibrary(raw []byte) (names, values []string, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, nil, false
	}
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, nil, false
		}
		key, _ := name.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil || seen[strings.ToLower(key)] {
			return nil, nil, false
		}
		seen[strings.ToLower(key)] = true
		names, values = append(names, key), append(values, string(value))
	}
	if _, err := decoder.Token(); err != nil {
		return nil, nil, false
	}
	_, err := decoder.Token()
	return names, values, errors.Is(err, io.EOF)
}

// S4: for every input, eachMember finds the same members as encoding/json. It refuses
// duplicate names and everything that encoding/json refuses.
func FuzzS4MembersAreThoseOfEncodingJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, "{\n\t\"a\" : [1, {\"b\":\"}\"}] ,\r \"b\":{\"c\":[]}, \"d\":\"\\\"}\" }", `{"a":1,"A":2}`, `{"a":1,"\u0061":2}`,
		`{"\\":1,"\"":2}`, `{"ſub":1,"sub":2}`, `{"É":1,"é":2}`, "{\"\xff\":1,\"\xfe\":2}", `{"a":1,}`, `{"a"}`, `{"a":1}x`, `{"a":1}{}`,
		`[]`, `"{"`, `null`, ``, `{`, `{"a":-1.5e3,"b":true,"c":null}`, `{"":1,"":2}`, `{"a":{"a":1}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wantNames, wantValues, ok := membersByLibrary([]byte(text))
		var names, values []string
		err := eachMember(base64.RawURLEncoding.EncodeToString([]byte(text)), func(name, value string) error {
			names, values = append(names, name), append(values, strings.Trim(value, white))
			return nil
		})
		if (err == nil) != ok {
			t.Fatalf("%q: %v, and encoding/json accepts it: %t", text, err, ok)
		}
		if ok && (strings.Join(names, "\x00") != strings.Join(wantNames, "\x00") || strings.Join(values, "\x00") != strings.Join(wantValues, "\x00")) {
			t.Errorf("%q has %q %q, want %q %q", text, names, values, wantNames, wantValues)
		}
	})
}
