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
	// SignInTTL is how long the code and the link of a mail sign in, from when it
	// was asked for.
	SignInTTL = 10 * time.Minute

	signInPage = "/account/sign-in"
	codeDigits = 6

	// What a letter that signs in tells its writer.
	dataChallenge = "challengeHash"
	dataUntil     = "until"
)

// Proof is what a mail held: its link's token, or its code and the challenge that
// it was sent for.
type Proof struct{ Token, Code, ChallengeID string }

// Reader is who reads the mail of an account.
type Reader struct {
	UserID string
	// OrganizationID is where its sign-ins begin.
	OrganizationID string
}

// BeginSignIn has a mail sent to an address, and answers what the mail's code works
// with. Whether there is an account is found out later, as with any letter.
func (s *Service) BeginSignIn(ctx context.Context, address string) (challengeID string, err error) {
	challengeID, hash := securetoken.New()
	return challengeID, s.deps.Mail.EnqueueNow(ctx, mailing.Message{Kind: mailSignIn, Address: address, Data: map[string]string{
		dataChallenge: base64.RawStdEncoding.EncodeToString(hash),
		dataUntil:     s.deps.Clock.Now().Add(SignInTTL).UTC().Format(time.RFC3339),
	}})
}

// composeSignIn makes the code and the link. One that had to wait too long is not sent,
// as nobody waits for it.
func (s *Service) composeSignIn(ctx context.Context, l mailing.Message) (mailing.Content, error) {
	challenge, err := base64.RawStdEncoding.DecodeString(l.Data[dataChallenge])
	if err != nil {
		return mailing.Content{}, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the letter cannot be read")
	}
	until, err := time.Parse(time.RFC3339, l.Data[dataUntil])
	if err != nil {
		return mailing.Content{}, fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "the letter cannot be read")
	}
	now := clock.Stamp(s.deps.Clock)
	account, err := s.deps.Users.ForSignIn(ctx, l.Address)
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
	if err := s.deps.Store.insertSignIn(ctx, sentSignIn{
		address: l.Address, userID: userID, challenge: challenge, token: tokenHash, code: s.codeHash(challenge, code),
	}, now, until); err != nil || userID == "" {
		return mailing.Content{}, err
	}
	return mailing.Content{Template: string(mailSignIn), Locale: account.Locale, Data: map[string]string{
		"code": code, "link": s.link(signInPage, token),
	}}, nil
}

func newCode() (string, error) {
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits), nil) //nolint:mnd // decimal digits
	n, err := rand.Int(rand.Reader, most)
	if err != nil {
		return "", fault.Wrap(err, faultv1.Reason_REASON_INTERNAL, "no code could be made")
	}
	return fmt.Sprintf("%0*d", codeDigits, n), nil
}

// codeHash is what is kept of a code. It takes a key: of a million codes each could
// be tried on a hash without one.
func (s *Service) codeHash(challenge []byte, code string) []byte {
	mac := hmac.New(sha256.New, s.codeKey)
	mac.Write(challenge)
	mac.Write([]byte(code))
	return mac.Sum(nil)
}

// FinishSignIn uses up what a mail held, and answers whose it is. Whoever shows it
// reads the account's mail: an address that nobody had confirmed is confirmed, and
// what else let into that account was another's and goes.
func (s *Service) FinishSignIn(ctx context.Context, shown Proof) (Reader, error) {
	var reader Reader
	// A refusal is carried past the transaction, which has counted the try.
	var refusal error
	err := s.deps.Store.inTx(ctx, "", func(ctx context.Context, tx postgres.Tx) error {
		refusal = nil
		userID, address, err := s.checkProof(ctx, tx, shown)
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

func (s *Service) checkProof(ctx context.Context, tx postgres.Tx, shown Proof) (userID, address string, err error) {
	now := s.deps.Clock.Now()
	if shown.Token != "" {
		return s.deps.Store.useLink(ctx, tx, securetoken.Hash(shown.Token), now)
	}
	challenge := securetoken.Hash(shown.ChallengeID)
	code := strings.NewReplacer(" ", "", "-", "").Replace(shown.Code) // what people put in to read it
	return s.deps.Store.tryCode(ctx, tx, challenge, s.codeHash(challenge, code), now)
}

// confirmReader lets the reader of an address into its account, as long as it is still that
// one.
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
	if err := s.deps.Store.deleteTokens(ctx, tx, address, u.ID); err != nil {
		return Reader{}, err
	}
	if err := s.resetCredentials(ctx, tx, u, ""); err != nil {
		return Reader{}, err
	}
	return Reader{UserID: u.ID, OrganizationID: home}, s.record(ctx, tx, u.ID, home, "email_verified")
}

func invalidCode() error {
	return fault.New(faultv1.Reason_REASON_TOKEN_INVALID, "the code or link is not valid, or no longer: ask for another mail")
}
