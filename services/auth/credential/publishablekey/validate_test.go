package publishablekey_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/auth/credential/publishablekey"
)

func TestValidate_EachOrigin_IsExactlyWhatBrowsersSend(t *testing.T) {
	t.Parallel()
	for text, accepted := range map[string]bool{
		"https://www.example.com":       true,
		"https://www.example.com:8443":  true,
		"http://localhost:3000":         true,
		"http://127.0.0.1":              true,
		"https://www.example.com/":      false,
		"https://www.example.com/path":  false,
		"https://www.example.com?x=1":   false,
		"https://www.example.com#x":     false,
		"https://user@www.example.com":  false,
		"https://WWW.example.com":       false,
		"HTTPS://www.example.com":       false,
		"https://*.example.com":         false,
		"https://":                      false,
		"//www.example.com":             false,
		"www.example.com":               false,
		"javascript:alert(1)":           false,
		"null":                          false,
		"*":                             false,
		"":                              false,
		" https://www.example.com":      false,
		"https://www.example.com\n":     false,
		"https://www.example.com:443":   false, // browsers omit the default port
		"http://www.example.com:80":     false,
		"https://www.example.com:99999": false,
	} {
		k := publishablekey.Key{DisplayName: "Site", Origins: []string{"https://first.example", text}}
		err := k.Validate()
		if (err == nil) != accepted {
			t.Errorf("%q: %v, want accepted %t", text, err, accepted)
			continue
		}
		if err == nil {
			continue
		}
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != "publishableKey.origins[1]" {
			t.Errorf("%q: violations %v", text, v)
		}
	}
}

func TestApply_Mask_ChangesOnlyItsFields(t *testing.T) {
	t.Parallel()
	before := publishablekey.Key{Key: "pk_one", DisplayName: "Site", Origins: []string{"https://one.example"}}
	after, err := before.Apply(publishablekey.Key{Key: "pk_two", DisplayName: "ignored", Disabled: true}, []string{"disabled"})
	if err != nil || !after.Disabled || after.DisplayName != "Site" || after.Key != "pk_one" || !slices.Equal(after.Origins, before.Origins) {
		t.Errorf("Apply returned %+v, %v", after, err)
	}
	for path, field := range map[string]string{
		"id": "updateMask", "key": "updateMask", "bogus": "updateMask",
		"origins": "publishableKey.origins", "display_name": "publishableKey.displayName",
	} {
		_, err := before.Apply(publishablekey.Key{Key: "pk_two"}, []string{path})
		if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != field {
			t.Errorf("%s: violations %v, want one on %s", path, v, field)
		}
	}
}

// Every accepted origin is a scheme and a host and nothing else, because it is compared
// with the header of the browser as text.
func FuzzValidate_Origin(f *testing.F) {
	for _, seed := range []string{
		"https://www.example.com", "http://localhost:3000", "https://[::1]:1", "https://a@b", "https://a/", "null", "*", "https://a\x00b", "https://a:b",
		"https://xn--bcher-kva.example", "https://bücher.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k := publishablekey.Key{DisplayName: "Site", Origins: []string{text}}
		if k.Validate() != nil {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != text {
			t.Fatalf("%q was accepted: %v", text, err)
		}
		if u.Scheme != "https" && u.Scheme != "http" {
			t.Fatalf("%q was accepted", text)
		}
	})
}
