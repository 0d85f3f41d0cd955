package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

const (
	// kept is the number of messages that an outbox keeps. The oldest ones are deleted.
	kept         = 1000
	suffix       = ".json"
	folderRights = 0o700
	fileRights   = 0o600
)

// Outbox is a folder of messages that were stored instead of being sent. Messages contain
// credentials, such as links to sign in, so only the owner may read the folder.
type Outbox struct {
	folder string
	clock  clock.Clock
}

// NewOutbox returns the outbox in a folder, which is created with the first message.
func NewOutbox(folder string, clk clock.Clock) *Outbox { return &Outbox{folder: folder, clock: clk} }

// Written is a message in an outbox.
type Written struct {
	Message
	// Time is when the message was written.
	Time time.Time
	// Cursor is the position of the message in the list.
	Cursor string
}

// stored is the content of a message's file.
type stored struct {
	ID         string    `json:"id"`
	Channel    Channel   `json:"channel"`
	To         string    `json:"to"`
	Subject    string    `json:"subject"`
	Text       string    `json:"text"`
	HTML       string    `json:"html"`
	CreateTime time.Time `json:"createTime"`
}

// send implements carrier.
func (o *Outbox) send(_ context.Context, m Message) error {
	if !id.Valid(m.ID) {
		return fault.New(faultv1.Reason_REASON_INTERNAL, "a message has no id")
	}
	now := clock.Stamp(o.clock)
	raw, err := json.MarshalIndent(stored{m.ID, m.Channel, m.To, m.Subject, m.Text, m.HTML, now}, "", "  ")
	if err == nil {
		err = o.write(m.ID, now, raw)
	}
	if err != nil {
		return fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "the outbox cannot be written")
	}
	return nil
}

// check implements carrier.
func (o *Outbox) check(context.Context) error { return nil }

// write creates the message's file atomically, and deletes the oldest files above the
// limit. The name of a file begins with its time, so that names sort by time.
func (o *Outbox) write(messageID string, now time.Time, raw []byte) error {
	if err := os.MkdirAll(o.folder, folderRights); err != nil {
		return err
	}
	names, err := o.names()
	if err != nil {
		return err
	}
	name := now.UTC().Format("20060102T150405.000000") + "_" + messageID + suffix
	temporary := filepath.Join(o.folder, "."+name)
	if err := os.WriteFile(temporary, raw, fileRights); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(o.folder, name)); err != nil {
		return err
	}
	for i, old := range names {
		// An earlier copy of the same message, or a file above the limit.
		if strings.Contains(old, messageID) || i+1 >= kept {
			if err := os.Remove(filepath.Join(o.folder, old)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// names lists the files, newest first.
func (o *Outbox) names() ([]string, error) {
	entries, err := os.ReadDir(o.folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	var out []string
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, suffix) && !strings.HasPrefix(name, ".") {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(b, a) })
	return out, nil
}

// List returns up to most messages, newest first, after the message with the cursor.
// An empty cursor means the beginning.
func (o *Outbox) List(after string, most int) ([]Written, error) {
	names, err := o.names()
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "the outbox cannot be read")
	}
	var out []Written
	for _, name := range names {
		if len(out) == most {
			break
		}
		if after != "" && name >= after {
			continue
		}
		message, err := o.read(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted since the folder was read
		}
		if err != nil {
			return nil, fault.Wrap(err, faultv1.Reason_REASON_UNAVAILABLE, "the outbox cannot be read")
		}
		out = append(out, message)
	}
	return out, nil
}

func (o *Outbox) read(name string) (Written, error) {
	raw, err := os.ReadFile(filepath.Join(o.folder, name))
	if err != nil {
		return Written{}, fmt.Errorf("outbox: %w", err)
	}
	var s stored
	if err := json.Unmarshal(raw, &s); err != nil {
		return Written{}, fmt.Errorf("outbox: %s: %w", name, err)
	}
	return Written{
		Message: Message{ID: s.ID, Channel: s.Channel, To: s.To, Subject: s.Subject, Text: s.Text, HTML: s.HTML},
		Time:    s.CreateTime, Cursor: name,
	}, nil
}
