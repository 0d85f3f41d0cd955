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

// mailNewDevice tells a user of a sign-in, who may not have been the one.
const mailNewDevice mailing.Kind = "new_device"

const (
	// Addresses of one provider are near each other, and change from day to day.
	nearIPv4 = 16
	nearIPv6 = 32
)

// Mail takes letters in the transaction of what causes them.
type Mail interface {
	// Enqueue has a letter sent when the transaction commits.
	Enqueue(ctx context.Context, tx postgres.Tx, l mailing.Message) error
}

// device is where a session came from.
type device struct{ userAgent, address string }

// resembles tells whether two sessions may well come from one device: the same program,
// in whatever version, from somewhere near.
func (d device) resembles(other device) bool {
	return program(d.userAgent) == program(other.userAgent) && near(d.address, other.address)
}

// program is a user agent without its versions.
func program(userAgent string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' || r == '_' {
			return -1
		}
		return r
	}, userAgent)
}

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

// notifyNewDevice writes to the user of a session that is about to open when it comes from
// another device than the sessions before. The first session of an account is no
// news.
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

// describe says what a device is, in words of our own: whoever signs in chooses
// the user agent, and must not write the letter by it.
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

func firstName(userAgent string, names [][2]string) string {
	for _, name := range names {
		if strings.Contains(userAgent, name[0]) {
			return name[1]
		}
	}
	return ""
}
