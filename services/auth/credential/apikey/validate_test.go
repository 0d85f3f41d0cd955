package apikey_test

import (
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/services/auth/credential/apikey"
)

func TestValidate_EachRule_NamesTheField(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) *time.Time { out := now.Add(d); return &out }
	permissions := []string{"chat.read", "chat.write"}
	for _, tc := range []struct {
		name  string
		key   apikey.Key
		field string // empty: accepted
	}{
		{"a key without scopes", apikey.Key{}, ""},
		{"some permissions of the holder", apikey.Key{Scopes: []string{"chat.write"}}, ""},
		{"all permissions of the holder", apikey.Key{Scopes: []string{"chat.write", "chat.read"}}, ""},
		{"one permission too many", apikey.Key{Scopes: []string{"chat.read", "members.write"}}, "apiKey.scopes"},
		{"a permission in other letters", apikey.Key{Scopes: []string{"Chat.Read"}}, "apiKey.scopes"},
		{"the beginning of a permission", apikey.Key{Scopes: []string{"chat"}}, "apiKey.scopes"},
		{"an empty scope", apikey.Key{Scopes: []string{""}}, "apiKey.scopes"},
		{"an expiry in the future", apikey.Key{ExpireTime: at(time.Nanosecond)}, ""},
		{"an expiry now", apikey.Key{ExpireTime: at(0)}, "apiKey.expireTime"},
		{"an expiry in the past", apikey.Key{ExpireTime: at(-time.Nanosecond)}, "apiKey.expireTime"},
		{"the zero time", apikey.Key{ExpireTime: &time.Time{}}, "apiKey.expireTime"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.key.Validate(permissions, now)
			if tc.field == "" {
				if err != nil {
					t.Errorf("Validate returned %v", err)
				}
				return
			}
			if v := fault.From(err).Violations(); len(v) != 1 || v[0].Field != tc.field {
				t.Errorf("violations %v, want one on %s", v, tc.field)
			}
		})
	}
}

func TestValidate_HolderWithoutPermissions_GetsNoScope(t *testing.T) {
	t.Parallel()
	if err := (apikey.Key{Scopes: []string{"chat.read"}}).Validate(nil, time.Time{}); err == nil {
		t.Error("a key has a permission that its holder does not have")
	}
}
