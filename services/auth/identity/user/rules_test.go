package user

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/platform/fault"
)

func TestValidate_EachRule_NamesTheField(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, displayName, locale, field string // no field: accepted
	}{
		{"a name and a language", "Ada", "en", ""},
		{"a language with a region", "Ada", "pt-BR", ""},
		{"no name", "", "en", "me.displayName"},
		{"no language", "Ada", "", "me.locale"},
		{"a language that is no tag", "Ada", "english language", "me.locale"},
		{"a path", "Ada", "../en", "me.locale"},
	} {
		err := User{DisplayName: tc.displayName, Locale: tc.locale}.Validate()
		if tc.field == "" {
			if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
			t.Errorf("%s: violations %v, want one on %s", tc.name, v, tc.field)
		}
	}
}

func TestNameFor_WithoutAName_IsThePartBeforeTheAt(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{
		{"Ada", "ada@example.org", "Ada"},
		{"  Ada Lovelace ", "ada@example.org", "Ada Lovelace"},
		{"", "ada@example.org", "ada"},
		{" \t\n ", "ada@example.org", "ada"},
		{"", "ada@b@example.org", "ada"},
		{"", "ada", "ada"},
		{"", "@example.org", ""},
		{"Ada\nBcc: eve@evil.test", "ada@example.org", "Ada Bcc: eve@evil.test"},
	} {
		if got := NameFor(tc[0], tc[1]); got != tc[2] {
			t.Errorf("NameFor(%q, %q) is %q, want %q", tc[0], tc[1], got, tc[2])
		}
	}
}

func TestS13PasswordLengthIsCountedInCharacters(t *testing.T) {
	t.Parallel()
	const varied = "7qZ!vK2@xM9#"
	for _, tc := range []struct {
		name, password string
		good           bool
	}{
		{"11 characters", varied[:11], false},
		{"12 characters", varied, true},
		{"11 characters of several bytes", "7qZ!vK2éxM9", false},
		{"12 characters of several bytes", "7qZ!vK2éxM9ß", true},
		{"4 different characters", "az!9az9!z9a!", false},
		{"128 characters", strings.Repeat(varied, 10) + varied[:8], true},
		{"129 characters", strings.Repeat(varied, 10) + varied[:9], false},
	} {
		if err := CheckPassword(tc.password, "ada@example.org"); (err == nil) != tc.good {
			t.Errorf("%s: %v, want good %t", tc.name, err, tc.good)
		}
	}
}

func TestDecode_OtherFormats_AreRefused(t *testing.T) {
	t.Parallel()
	salt, hash := []byte("0123456789abcdef"), []byte("0123456789abcdef0123456789abcdef")
	good := encode(salt, hash)
	gotSalt, gotHash, err := decode(good)
	if err != nil || !slices.Equal(gotSalt, salt) || !slices.Equal(gotHash, hash) {
		t.Errorf("decoded %x, %x, %v", gotSalt, gotHash, err)
	}
	for name, text := range map[string]string{
		"nothing":                "",
		"another algorithm":      strings.Replace(good, "argon2id", "argon2i", 1),
		"less memory":            strings.Replace(good, "m=19456", "m=8", 1),
		"fewer passes":           strings.Replace(good, "t=2", "t=1", 1),
		"no hash":                prefix() + "MDEy",
		"a salt in another code": strings.Replace(good, "MDEy", "****", 1),
		"a hash in another code": good + "=",
		"a third part":           good + "$MDEy",
	} {
		if _, _, err := decode(text); err == nil {
			t.Errorf("%s was accepted: %q", name, text)
		}
	}
}

// Two spellings of an address must not become two accounts, so a normalized address is
// its own normal form. Its length bounds the rows and indexes of the database.
func FuzzNormalizeEmail(f *testing.F) {
	for _, seed := range []string{
		"Ada@Example.ORG", " a@b.c ", "ａda@example.org", "İ@example.org", "ſ@example.org", "K@example.org", "ﷺ@example.org", "\u0345@x", "\xff@x", "",
		"\u00a0a@b\u2003", "\u3000", "ẞ@x", "ΑΣ@x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		once := NormalizeEmail(address)
		if again := NormalizeEmail(once); again != once {
			t.Fatalf("%q became %q, and that became %q", address, once, again)
		}
		// NFKC makes at most 18 characters of one (UAX 15); no byte of the input makes more
		// than 18 of the output.
		if len(once) > 18*len(address) {
			t.Fatalf("%d bytes became %d", len(address), len(once))
		}
		if utf8.ValidString(address) && !utf8.ValidString(once) {
			t.Fatalf("%q became %q", address, once)
		}
	})
}

func FuzzNameFor(f *testing.F) {
	f.Add("Ada\r\nBcc: eve@evil.test", "ada@example.org")
	f.Add("\u202eadA", "@")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, given, address string) {
		name := NameFor(given, address)
		if local, _, _ := strings.Cut(address, "@"); name != local && strings.ContainsAny(name, "\r\n\x00\u2028") {
			t.Fatalf("%q became the name %q", given, name)
		}
	})
}

// A password is any text: it is checked and never stops the process.
func FuzzCheckPassword(f *testing.F) {
	for _, seed := range [][2]string{
		{"correct horse battery", "ada@example.org"}, {"", ""}, {"\xff\xfe", "@"}, {strings.Repeat("a", 200), "a"}, {"12/12/2012 12:12", "x@y"},
		{"aaaaaaaaaaaaa", "aaaa@b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, password, address string) {
		n := utf8.RuneCountInString(password)
		err := CheckPassword(password, address)
		if err == nil && (n < minPassword || n > maxPassword) {
			t.Fatalf("a password of %d characters was accepted", n)
		}
		if err == nil && NormalizeEmail(password) == NormalizeEmail(address) {
			t.Fatalf("the address %q was accepted as its password", address)
		}
		if err != nil && fault.From(err).Violations()[0].Field != "password" {
			t.Fatal(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(make([]byte, saltBytes), make([]byte, hashBytes)))
	f.Add(prefix() + "$")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$MDEy\n$MDEy")
	f.Add("plain")
	f.Fuzz(func(t *testing.T, text string) {
		salt, hash, err := decode(text)
		if err != nil {
			return
		}
		again, sum, err := decode(encode(salt, hash))
		if err != nil || !slices.Equal(again, salt) || !slices.Equal(sum, hash) {
			t.Fatalf("%q is not what it was decoded to: %v", text, err)
		}
	})
}
