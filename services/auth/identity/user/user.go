// Package user has the users: their addresses, passwords and names.
//
// An address identifies one account, in whatever case or width it is typed
// ([NormalizeEmail]). It is displayed as the user typed it. Passwords are stored only
// as Argon2id hashes ([Hasher]). The hasher bounds the memory and the processors that
// hashing uses, because anyone can cause it without an account.
package user

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/line"
	"github.com/gatehouse/gatehouse/platform/patch"
)

// User is a person who can sign in.
type User struct {
	ID            string
	Email         string
	EmailVerified bool
	DisplayName   string
	Locale        string
	PasswordHash  string
	// Operator reports whether the user has rights over the whole installation.
	Operator               bool
	Disabled               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
}

// Fields returns the fields that users may change in their own account, by their names
// in the contract.
func Fields() patch.Fields[User] {
	return patch.Fields[User]{
		"display_name": patch.At(func(u *User) *string { return &u.DisplayName }),
		"locale":       patch.At(func(u *User) *string { return &u.Locale }),
	}
}

// Validate checks what the contract cannot express. Its faults name the fields as
// account.proto does.
func (u User) Validate() error {
	if u.DisplayName == "" {
		return fault.Invalid("me.displayName", "must not be empty")
	}
	if _, err := language.Parse(u.Locale); err != nil {
		return fault.Invalid("me.locale", "must be a language tag (BCP 47)")
	}
	return nil
}

// NormalizeEmail returns the form of an address that is unique among users. Some small
// letters have a composed form that their capitals lack, so the address is composed again
// in small letters. Composing can also create spaces, so they are trimmed last.
func NormalizeEmail(address string) string {
	small := strings.ToLower(norm.NFKC.String(address))
	return strings.TrimSpace(norm.NFKC.String(small))
}

// NameFor returns the display name of a new user: the given name, or the part of the
// address before the @.
func NameFor(given, address string) string {
	if given = strings.TrimSpace(line.Clean(given)); given != "" {
		return given
	}
	local, _, _ := strings.Cut(address, "@")
	return local
}

// Etag changes with each update.
func (u User) Etag() string { return fmt.Sprintf("%d", u.Revision) }
