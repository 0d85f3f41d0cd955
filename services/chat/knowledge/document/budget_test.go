package document

import (
	"context"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse/gatehouse/platform/fault"
	"github.com/gatehouse/gatehouse/platform/id"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/knowledge/parse"
)

// S89: a user has four uploads at once, and all users together have thirty-two. One more
// is refused with the time to wait. The end of an upload makes room for another.
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
		t.Error("a process receives more uploads than it may")
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

// S89: the memory of documents that are indexed at once is bounded. Other documents wait
// until enough memory is released, or until their context ends.
func TestS89LargeDocumentsWaitForEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget()
		first, err := b.index(t.Context(), parse.DefaultLimits().Bytes)
		if err != nil {
			t.Fatal(err)
		}
		wait := func(ctx context.Context, size int) chan error {
			done := make(chan error, 1)
			go func() {
				second, err := b.index(ctx, size)
				if err == nil {
					second.release()
				}
				done <- err
			}()
			synctest.Wait()
			return done
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		impatient, second := wait(brief, 1), wait(t.Context(), 1)
		if len(impatient)+len(second) > 0 {
			t.Error("two documents are indexed in the memory of one")
		}
		if err := <-impatient; !fault.Is(err, faultv1.Reason_REASON_DEADLINE_EXCEEDED) {
			t.Errorf("a caller whose context has ended: %v", err)
		}
		first.shrink(8 << 20)
		if err := <-second; err != nil {
			t.Error(err)
		}
		large := wait(t.Context(), parse.DefaultLimits().Bytes)
		if len(large) > 0 {
			t.Error("all of the memory is granted while a part of it is used")
		}
		first.release()
		if err := <-large; err != nil {
			t.Error(err)
		}
	})
}

// S89: the memory of documents that are stored at once is bounded. A request that has
// waited too long is refused with a time to retry.
func TestS89DocumentsStoredAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"large": parse.DefaultLimits().Bytes, "small": smallDocument} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget()
				leaves := make([]func(), 0, 100)
				var err error
				for len(leaves) < cap(leaves) {
					begun := time.Now()
					leave, refusal := b.store(t.Context(), size, storeWait)
					if err = refusal; err != nil {
						if waited := time.Since(begun); waited != storeWait {
							t.Errorf("waited for %v", waited)
						}
						break
					}
					leaves = append(leaves, leave)
				}
				if f := fault.From(err); f.Reason() != faultv1.Reason_REASON_OVERLOADED || f.RetryAfter() <= 0 {
					t.Errorf("%v after %d", err, len(leaves))
				}
				if stored := len(leaves) * min(size, pieceSize); stored > pieceSize {
					t.Errorf("%d bytes are stored at once", stored)
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				if _, err := b.store(ended, size, storeWait); !fault.Is(err, faultv1.Reason_REASON_CANCELLED) {
					t.Errorf("a caller whose context has ended: %v", err)
				}
				leaves[0]()
				if _, err := b.store(t.Context(), size, storeWait); err != nil {
					t.Errorf("after one has ended: %v", err)
				}
			})
		})
	}
}

// S89: a small document is stored while a large one is indexed and others are stored.
func TestS89SmallDocumentsDoNotWaitForLargeOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget()
		indexed, err := b.index(t.Context(), parse.DefaultLimits().Bytes)
		if err != nil {
			t.Fatal(err)
		}
		defer indexed.release()
		stored, err := b.store(t.Context(), parse.DefaultLimits().Bytes, storeWait)
		if err != nil {
			t.Fatal(err)
		}
		defer stored()
		begun := time.Now()
		leave, err := b.store(t.Context(), 1<<10, storeWait)
		if err != nil || time.Since(begun) > 0 {
			t.Fatalf("%v after %v", err, time.Since(begun))
		}
		leave()
	})
}

// S89: a spooled upload has no name on the disk.
func TestS89SpoolsLeaveNoFile(t *testing.T) {
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
