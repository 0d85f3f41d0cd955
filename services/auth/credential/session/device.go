package session

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/postgres"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
)

// mailNewDevice informs a user about a sign-in, because it may be somebody else's.
const mailNewDevice mailing.Kind = "new_device"

const (
	// The addresses of one provider have a common prefix, and change from day to day.
	nearIPv4 = 16
	nearIPv6 = 32
)

// Mail queues emails.
type Mail interface {
	// Enqueue queues an email in the caller's transaction.
	Enqueue(ctx context.Context, tx postgres.Tx, l mailing.Message) error
}

// device is the device of a session.
type device struct{ userAgent, address string }

// resembles reports whether two sessions may come from one device: the same program, in
// any version, from a nearby address.
func (d device) resembles(other device) bool {
	return program(d.userAgent) == program(other.userAgent) && near(d.address, other.address)
}

// program returns a user agent without its versions.
func program(userAgent string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == '_' {
			return -1
		}
		return r
	}, userAgent)
}

// near reports whether two addresses have a common prefix.
func near(a, b string) bool {
	ipA, errA := netip.ParseAddr(a)
	ipB, errB := netip.ParseAddr(b)
	if errA != nil || errB != nil {
		return a == b
	}
	ipA, ipB = ipA.Unmap().WithZone(""), ipB.Unmap().WithZone("")
	bits := nearIPv6
	if ipA.Is4() {
		bits = nearIPv4
	}
	return ipA.Is4() == ipB.Is4() && netip.PrefixFrom(ipA, bits).Contains(ipB)
}

// notifyNewDevice queues an email to the user of a new session when the session comes
// from another device than the sessions before. The first session of an account causes
// none.
func (s *Service) notifyNewDevice(ctx context.Context, tx postgres.Tx, session Session, u user.User) error {
	before, err := s.deps.Store.devices(ctx, tx, u.ID)
	if err != nil {
		return err
	}
	here := device{session.UserAgent, session.IPAddress}
	if slices.ContainsFunc(before, here.resembles) || (len(before) == 0 && session.CreateTime.Sub(u.CreateTime) < TTL) {
		return nil
	}
	address := session.IPAddress
	if address == "" {
		address = "an unknown address"
	}
	return s.deps.Mail.Enqueue(ctx, tx, mailing.Message{
		Kind: mailNewDevice, Address: u.Email, Locale: u.Locale, Data: map[string]string{
			"device": describe(session.UserAgent), "address": address, "time": session.CreateTime.UTC().Format(time.RFC1123),
		},
	})
}

// describe names a device with fixed words. The client chooses the user agent, and must
// not be able to write text into the email.
func describe(userAgent string) string {
	browser := firstName(userAgent, [][2]string{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	})
	system := firstName(userAgent, [][2]string{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "an iPhone"}, {"iPad", "an iPad"},
		{"Mac OS X", "a Mac"}, {"CrOS", "a Chromebook"}, {"Linux", "Linux"},
	})
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "" || system != "":
		return browser + system
	default:
		return "an unknown program"
	}
}

// firstName returns the name of the first entry whose mark is in a user agent.
func firstName(userAgent string, names [][2]string) string {
	for _, name := range names {
		if strings.Contains(userAgent, name[0]) {
			return name[1]
		}
	}
	return ""
}
