package email

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/postgres"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/identity/user"
	"github.com/gatehouse/gatehouse/services/auth/mailing"
	"github.com/gatehouse/gatehouse/services/auth/token/securetoken"
)

const (
	// SignInTTL is how long the code and the link of an email can sign in, from when
	// the email was requested.
	SignInTTL = 10 * time.Minute

	signInPage = "/account/sign-in"
	codeDigits = 6

	// The keys of the data that a sign-in message passes to its composer.
	dataChallenge = "challengeHash"
	dataUntil     = "until"
)

// Proof is the content of an email that the client presents: the token of the link, or
// the code with the challenge for which it was sent.
type Proof struct{ Token, Code, ChallengeID string }

// Reader is the user who received the email.
type Reader struct {
	UserID string
	// OrganizationID is the organization in which the user's sessions start.
	OrganizationID string
}

// BeginSignIn queues an email that signs its reader in, and returns the challenge with
// which the code of the email works. Whether the address has an account is checked
// later, as for all emails.
func (s *Service) BeginSignIn(ctx context.Context, address string) (challengeID string, err error) {
	challengeID, hash := securetoken.New()
	return challengeID, s.deps.Mail.EnqueueNow(ctx, mailing.Message{Kind: mailSignIn, Address: address, Data: map[string]string{
		dataChallenge: base64.RawStdEncoding.EncodeToString(hash),
		dataUntil:     s.deps.Clock.Now().Add(SignInTTL).UTC().Format(time.RFC3339),
	}})
}

// composeSignIn creates the code and the link. An email that was queued for too long is
// not sent, because the client no longer waits for it.
func (s *Service) composeSignIn(ctx context.Context, m mailing.Message) (mailing.Content, error) {
	challenge, err := base64.RawStdEncoding.DecodeString(m.Data[dataChallenge])
	if err != nil {
		return mailing.Content{}, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the message cannot be read")
	}
	until, err := time.Parse(time.RFC3339, m.Data[dataUntil])
	if err != nil {
		return mailing.Content{}, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the message cannot be read")
	}
	now := clock.Stamp(s.deps.Clock)
	account, err := s.deps.Users.ForSignIn(ctx, m.Address)
	if err != nil || !now.Before(until) {
		return mailing.Content{}, err
	}
	userID := account.UserID
	if account.Disabled {
		userID = ""
	}
	code, err := newCode()
	if err != nil {
		return mailing.Content{}, err
	}
	token, tokenHash := securetoken.New()
	if err := s.store.insertSignIn(ctx, sentSignIn{
		address: m.Address, userID: userID, challenge: challenge, token: tokenHash, code: s.codeHash(challenge, code),
	}, now, until); err != nil || userID == "" {
		return mailing.Content{}, err
	}
	return mailing.Content{Template: string(mailSignIn), Locale: account.Locale, Data: map[string]string{
		"code": code, "link": s.link(signInPage, token),
	}}, nil
}

func newCode() (string, error) {
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil)
	n, err := rand.Int(rand.Reader, most)
	if err != nil {
		return "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "no code could be created")
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// codeHash returns the hash of a code. It uses a key, because each of a million codes
// could be tried against a hash without one.
func (s *Service) codeHash(challenge []byte, code string) []byte {
	mac := hmac.New(sha256.New, s.codeKey)
	mac.Write(challenge)
	mac.Write([]byte(code))
	return mac.Sum(nil)
}

// FinishSignIn uses up the proof of an email, and returns its user. The client that
// presents it reads the account's emails. So an unconfirmed address becomes confirmed,
// and other credentials of that account are deleted.
func (s *Service) FinishSignIn(ctx context.Context, proof Proof) (Reader, error) {
	var reader Reader
	// A refusal is returned after the transaction, which counts the attempt.
	var refusal error
	err := s.store.inTx(ctx, "", func(ctx context.Context, tx postgres.Tx) error {
		refusal = nil
		userID, address, err := s.checkProof(ctx, tx, proof)
		if err != nil {
			return err
		}
		if userID == "" {
			refusal = invalidCode()
			return nil
		}
		reader, err = s.confirmReader(ctx, tx, userID, address)
		return err
	})
	if err = errors.Join(err, refusal); err != nil {
		return Reader{}, fault.From(err)
	}
	return reader, nil
}

// checkProof uses up a link, or checks and counts a code. The user is empty when the
// proof is wrong.
func (s *Service) checkProof(ctx context.Context, tx postgres.Tx, proof Proof) (userID, address string, err error) {
	now := s.deps.Clock.Now()
	if proof.Token != "" {
		return s.store.useLink(ctx, tx, securetoken.Hash(proof.Token), now)
	}
	challenge := securetoken.Hash(proof.ChallengeID)
	code := strings.NewReplacer(" ", "", "-", "").Replace(proof.Code) // users add them for readability
	return s.store.tryCode(ctx, tx, challenge, s.codeHash(challenge, code), now)
}

// confirmReader returns the user of an address, unless the account has another address
// by now. It confirms an unconfirmed address.
func (s *Service) confirmReader(ctx context.Context, tx postgres.Tx, userID, address string) (Reader, error) {
	u, err := s.lockUser(ctx, tx, userID)
	if err != nil {
		return Reader{}, err
	}
	if u.Disabled || user.NormalizeEmail(u.Email) != address {
		return Reader{}, invalidCode()
	}
	home, err := s.deps.Users.HomeOrganization(ctx, tx, u.ID)
	if err != nil || u.EmailVerified {
		return Reader{UserID: u.ID, OrganizationID: home}, err
	}
	if err := s.store.deleteTokens(ctx, tx, address, u.ID); err != nil {
		return Reader{}, err
	}
	if err := s.resetCredentials(ctx, tx, u, ""); err != nil {
		return Reader{}, err
	}
	return Reader{UserID: u.ID, OrganizationID: home}, s.record(ctx, tx, u.ID, home, "email_verified")
}

func invalidCode() error {
	return fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "the code or link is invalid or has expired: request another email")
}
