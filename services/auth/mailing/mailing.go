// Package mailing sends the emails of the auth service.
//
// A room queues a [Message] in the transaction of the change that causes it: the email is
// sent if and only if that transaction commits, even when the mail server is down for
// hours. A job composes and sends the email, and retries while that fails.
//
//	err := mail.Enqueue(ctx, tx, mailing.Message{Kind: mailPasswordChanged, Address: u.Email, Locale: u.Locale})
//
// The template of the kind gives the text, filled with the data of the message. For some
// kinds a room registers a [Composer], which reads the current state when the email is
// sent. A secret, such as the token of a link, is always created by a composer: its lifetime
// then starts when the email is sent, and it is stored nowhere but in the email. The rest
// of the message is in the job, sealed with a key that is not in the database.
//
// An address gets at most five emails of a kind in an hour. More are dropped silently,
// because the client that requested one must not learn whether the address has an
// account. Queuing is the same work for any address.
package mailing

const (
	// perHour is the number of emails of a kind that an address gets in an hour.
	perHour = 5
	// attempts spread over about eleven hours.
	attempts = 12
)

// Kind is the reason for an email.
type Kind string

// Message is an email to be sent.
type Message struct {
	// ID is set when the message is queued.
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Address is the recipient.
	Address string `json:"address"`
	// Locale is the recipient's language (BCP 47). Empty means English.
	Locale string `json:"locale,omitempty"`
	// Data fills the template, or is the input of the composer.
	Data map[string]string `json:"data,omitempty"`
	// OverLimit is set when the address already got its emails of this hour.
	OverLimit bool `json:"surplus,omitempty"`
}
