package key_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/auth/token/key"
)

func TestPlan_AtTheBoundariesOfItsPeriods(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	signs := func(id string, after time.Duration) key.Key { return key.Key{ID: id, SignsAt: now.Add(after)} }
	for _, tc := range []struct {
		name   string
		keys   []key.Key
		begin  []time.Duration // after now
		remove []string
	}{
		{"no key", nil, []time.Duration{0, key.Period}, nil},
		{"a key and its successor", []key.Key{signs("a", -time.Hour), signs("b", time.Nanosecond)}, nil, nil},
		{"the successor begins now", []key.Key{signs("a", -key.Period), signs("b", 0)}, []time.Duration{key.Period}, nil},
		{"the current key was lost", []key.Key{signs("b", time.Hour)}, []time.Duration{0}, nil},
		{"the successor was lost", []key.Key{signs("a", -time.Hour)}, []time.Duration{key.Period - time.Hour}, nil},
		{"the successor is due within the lead", []key.Key{signs("a", key.Lead-key.Period-time.Nanosecond)}, []time.Duration{key.Lead}, nil},
		{"a long downtime", []key.Key{signs("a", -10*key.Period)}, []time.Duration{key.Lead}, nil},
		{"the last token may be valid", []key.Key{signs("a", -key.Period), signs("b", -key.Retention), signs("c", time.Hour)}, nil, nil},
		{"the last token has expired", []key.Key{signs("a", -key.Period), signs("b", -key.Retention-time.Nanosecond), signs("c", time.Hour)}, nil, []string{"a"}},
	} {
		begin, remove := key.Plan(tc.keys, now)
		var want []time.Time
		for _, d := range tc.begin {
			want = append(want, now.Add(d))
		}
		if !slices.EqualFunc(begin, want, time.Time.Equal) || !slices.Equal(remove, tc.remove) {
			t.Errorf("%s: begin %v, remove %v, want %v, %v", tc.name, begin, remove, want, tc.remove)
		}
	}
}

func TestNext_KeyMustBePublishedLongEnough(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	current := key.Key{ID: "a", SignsAt: now.Add(-time.Hour)}
	next := func(age, until time.Duration) key.Key {
		return key.Key{ID: "b", CreateTime: now.Add(-age), SignsAt: now.Add(until)}
	}
	for _, tc := range []struct {
		name  string
		keys  []key.Key
		retry time.Duration
		ok    bool
	}{
		{"no key", nil, 0, false},
		{"no successor", []key.Key{current}, 0, false},
		{"the successor signs already", []key.Key{current, next(time.Hour, 0)}, 0, false},
		{"published for long enough", []key.Key{current, next(key.Settled, time.Hour)}, 0, true},
		{"published a little too late", []key.Key{current, next(key.Settled-time.Second, time.Hour)}, time.Second, false},
		{"created now", []key.Key{current, next(0, time.Hour)}, key.Settled, false},
	} {
		got, err := key.Next(tc.keys, now)
		if tc.ok {
			if err != nil || got.ID != "b" {
				t.Errorf("%s: %s, %v", tc.name, got.ID, err)
			}
			continue
		}
		if !fault.Is(err, faultv1.Reason_REASON_CONFLICT) || fault.From(err).RetryAfter() != tc.retry {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestS73EachAlteredBitOfASealedValueIsRefused(t *testing.T) {
	t.Parallel()
	box, err := key.NewBox(bytes.Repeat([]byte{1}, 32), "one")
	if err != nil {
		t.Fatal(err)
	}
	sealed := box.Seal([]byte("a secret"), "row")
	for i := range sealed {
		for bit := range 8 {
			altered := bytes.Clone(sealed)
			altered[i] ^= 1 << bit
			if text, err := box.Open(altered, "row"); err == nil {
				t.Errorf("bit %d of byte %d altered: opened %q", bit, i, text)
			}
		}
		if text, err := box.Open(sealed[:i], "row"); err == nil {
			t.Errorf("%d bytes opened as %q", i, text)
		}
	}
	if _, err := box.Open(append(sealed, 0), "row"); err == nil {
		t.Error("a longer value was opened")
	}
	if bytes.Equal(box.Seal([]byte("a secret"), "row"), sealed) {
		t.Error("one text is sealed twice in the same way")
	}
	if text, err := box.Open(box.Seal(nil, ""), ""); err != nil || len(text) != 0 {
		t.Errorf("an empty text: %q, %v", text, err)
	}
}

func TestNewBox_SecretKeyHas32Bytes(t *testing.T) {
	t.Parallel()
	for length, accepted := range map[int]bool{0: false, 31: false, 32: true, 33: false, 64: false} {
		if _, err := key.NewBox(make([]byte, length), "one"); (err == nil) != accepted {
			t.Errorf("a box of %d bytes: %v", length, err)
		}
		if _, err := key.NewSealer(make([]byte, length)); (err == nil) != accepted {
			t.Errorf("a sealer of %d bytes: %v", length, err)
		}
	}
}

// A row of the database may have been written by somebody else.
func FuzzBoxOpen(f *testing.F) {
	box, err := key.NewBox(bytes.Repeat([]byte{1}, 32), "one")
	if err != nil {
		f.Fatal(err)
	}
	sealed := box.Seal([]byte("a secret"), "row")
	f.Add(sealed, "another row")
	f.Add(sealed[:20], "row")
	f.Add([]byte{}, "")
	f.Fuzz(func(t *testing.T, raw []byte, row string) {
		// Each process of the fuzzer seals the seeds with a nonce of its own, and all of them
		// are opened as they were sealed.
		if text, err := box.Open(raw, row); err == nil && (row != "row" || string(text) != "a secret") {
			t.Fatalf("opened %x in %q as %q", raw, row, text)
		}
	})
}
