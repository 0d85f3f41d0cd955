// Package user is a person who can sign in: its address, its password and what
// it is called.
//
// An address identifies one account in whatever case or width it is typed
// ([NormalizeEmail]); it is shown as it was given. Passwords are kept as
// Argon2id hashes alone ([Hasher]), which bounds the memory and the processors
// that hashing may take, as anybody can cause it without an account.
package user

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/types/known/timestamppb"

	authv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/auth/v1"
)

// User is a person who can sign in.
type User struct {
	ID            string
	Email         string
	EmailVerified bool
	DisplayName   string
	Locale        string
	PasswordHash  string
	// Operator says whether the user runs the installation.
	Operator               bool
	Disabled               bool
	Revision               int64
	CreateTime, UpdateTime time.Time
}

// NormalizeEmail returns the form of an address that is unique among users.
func NormalizeEmail(address string) string {
	return strings.ToLower(norm.NFKC.String(strings.TrimSpace(address)))
}

// NameFor returns what a person is called: the given name, or the part of the
// address before the @.
func NameFor(given, address string) string {
	if given = strings.TrimSpace(given); given != "" {
		return given
	}
	local, _, _ := strings.Cut(address, "@")
	return local
}

// Etag changes with each update.
func (u User) Etag() string { return fmt.Sprintf("%d", u.Revision) }

// Message returns the user as the contract has it.
func (u User) Message() *authv1.User {
	return &authv1.User{
		Id: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, DisplayName: u.DisplayName, Locale: u.Locale,
		Disabled: u.Disabled, CreateTime: timestamppb.New(u.CreateTime), UpdateTime: timestamppb.New(u.UpdateTime),
		Etag: u.Etag(),
	}
}
