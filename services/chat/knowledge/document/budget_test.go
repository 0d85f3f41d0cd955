package document

import (
	"context"
	"os"
	"testing"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

// S89: a user has four uploads at once, and all users have thirty-two. One more is
// refused with the time to wait, and one that ends makes room.
func TestS89UploadsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	b := NewBudget()
	refused := func(user string) bool {
		t.Helper()
		leave, err := b.upload(user)
		if err == nil {
			leave()
			return false
		}
		if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_OVERLOADED || f.RetryAfter() <= 0 {
			t.Errorf("%v, retry after %v", err, f.RetryAfter())
		}
		return true
	}
	var leaves []func()
	one := id.New()
	for user, n := one, 0; n < maxUploads; n++ {
		if n%maxUploadsOfUser == 0 && n > 0 {
			if !refused(user) {
				t.Errorf("user of uploads up to %d has one more", n)
			}
			user = id.New()
		}
		leave, err := b.upload(user)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	if !refused(id.New()) {
		t.Error("a process takes more uploads than it should")
	}
	leaves[0]()
	if refused(one) {
		t.Error("an upload that has ended is still counted")
	}
	for _, leave := range leaves[1:] {
		leave()
	}
	if len(b.uploads) != 0 || b.total != 0 {
		t.Errorf("%d uploads of %d users are left", b.total, len(b.uploads))
	}
}

// S89: the budget holds one large document. Others wait, at most until their
// context ends.
func TestS89LargeDocumentsWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := NewBudget()
	leave, err := b.hold(t.Context(), parse.DefaultLimits().Bytes)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.hold(gone, 1); !fault.Is(err, faultv1.Reason_REASON_CANCELLED) {
		t.Errorf("a caller who has left: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		leave, err := b.hold(t.Context(), 0)
		if err == nil {
			leave()
		}
		waited <- err
	}()
	leave()
	if err := <-waited; err != nil {
		t.Error(err)
	}
}

// S89: what is spooled has no name on the disk.
func TestS89SpoolsLeaveNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir() + "/uploads"
	spool, err := newSpool(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer spool.close()
	if _, err := spool.Write([]byte("some text")); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 4)
	if _, err := spool.source().ReadAt(content, 5); err != nil || string(content) != "text" || spool.source().size != 9 {
		t.Errorf("%q of %d, %v", content, spool.source().size, err)
	}
	if names, err := os.ReadDir(folder); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}
