package mailing

import (
	"bytes"
	"maps"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
)

// S74: the queue is in the database, so each altered byte of a job is found.
func TestS74EachAlteredByteOfAJobIsRefused(t *testing.T) {
	t.Parallel()
	s := sealerFor(t, "one key")
	message := Message{ID: "1", Kind: "sign_up", Address: "ada@example.org", Locale: "de", Data: map[string]string{"a": "b"}, OverLimit: true}
	job, err := s.seal(message)
	must(t, err)
	got, err := s.open(job)
	if err != nil || got.ID != "1" || got.Kind != message.Kind || got.Address != message.Address || got.Locale != "de" || !got.OverLimit || !maps.Equal(got.Data, message.Data) {
		t.Errorf("opened %+v, %v", got, err)
	}
	for i := range job.Sealed {
		altered := deliver{ID: job.ID, Sealed: bytes.Clone(job.Sealed)}
		altered.Sealed[i] ^= 1
		for name, job := range map[string]deliver{"altered": altered, "cut": {ID: job.ID, Sealed: job.Sealed[:i]}} {
			if got, err := s.open(job); !fault.Is(err, faultv1.Reason_REASON_INVALID_ARGUMENT) || got.Address != "" {
				t.Errorf("%s at byte %d: %+v, %v", name, i, got, err)
			}
		}
	}
	again, err := s.seal(message)
	must(t, err)
	if bytes.Equal(again.Sealed, job.Sealed) {
		t.Error("one message is sealed twice in the same way")
	}
}

func FuzzOpen(f *testing.F) {
	s, err := newSealer([]byte("one key"))
	if err != nil {
		f.Fatal(err)
	}
	job, err := s.seal(Message{ID: "1", Address: "ada@example.org"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("2", job.Sealed)
	f.Add("1", job.Sealed[:12])
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, id string, sealed []byte) {
		// Each process of the fuzzer seals the seeds with a nonce of its own, and all of them
		// are opened as they were sealed.
		if got, err := s.open(deliver{ID: id, Sealed: sealed}); err == nil && (id != "1" || got.Address != "ada@example.org") {
			t.Fatalf("opened %+v", got)
		}
	})
}
