package auth

import (
	"fmt"
	"time"
)

const (
	minPasswordWait = 100 * time.Millisecond
	// maxPasswordWait leaves a request some of the 30 seconds that it may take.
	maxPasswordWait = 20 * time.Second

	maxInvitationsPerDay = 100_000
)

// Settings are the settings that concern only this service. Programs read them from the
// environment and pass them on as they are.
type Settings struct {
	// How long a request waits for a password hash to start before it fails with 503, from
	// 100ms to 20s: a duration such as 2s.
	PasswordWait time.Duration `env:"GATEHOUSE_PASSWORD_WAIT" envDefault:"2s"`
	// How many invitations an organization may send in one day (UTC), from 1 to 100000. The
	// limit exists because people may not want these emails. A user whose email address is
	// not confirmed may send 5 a day. A service account may send none until an owner's
	// address is confirmed. None of these limits applies when GATEHOUSE_RATE_LIMITS is off.
	InvitationsPerDay int `env:"GATEHOUSE_INVITATIONS_PER_DAY" envDefault:"200"`
}

// Problems returns what is wrong with the settings.
func (s Settings) Problems() []error {
	var problems []error
	if s.PasswordWait < minPasswordWait || s.PasswordWait > maxPasswordWait {
		problems = append(problems, fmt.Errorf("GATEHOUSE_PASSWORD_WAIT: %s is not between %s and %s", s.PasswordWait, minPasswordWait, maxPasswordWait))
	}
	if s.InvitationsPerDay < 1 || s.InvitationsPerDay > maxInvitationsPerDay {
		problems = append(problems, fmt.Errorf("GATEHOUSE_INVITATIONS_PER_DAY: %d is not between 1 and %d", s.InvitationsPerDay, maxInvitationsPerDay))
	}
	return problems
}
