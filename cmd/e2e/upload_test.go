package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const (
	// uploadsAtOnce is how many uploads are opened: more than are taken.
	uploadsAtOnce = 40
	// uploadedBytes is how much of each upload arrives before it stalls.
	uploadedBytes = 4 << 20
	// uploadMemory is what uploads may add to the memory of a process, in bytes.
	uploadMemory = 64 << 20
)

// S89: forty unfinished uploads, and some large ones that are finished, stored and
// indexed, add at most 64 MiB to the memory of the process that takes them. Further
// uploads are refused with 503 and the time to wait.
func TestS89UploadsHoldNoMemory(t *testing.T) {
	t.Parallel()
	i := start(t, shapes()[0].asShipped())
	const perUser = 4
	var users []*client
	var collections []string
	for range uploadsAtOnce / perUser {
		c := i.newUser(t)
		var made struct{ ID string }
		c.post("/v1/collections", map[string]any{"displayName": "Large"}).decode(&made)
		users, collections = append(users, c), append(collections, made.ID)
	}
	pid := i.children["gatehouse"].cmd.Process.Pid
	idle := memoryOf(t, pid, "VmRSS")
	resetPeak(t, pid)

	release := make(chan struct{})
	answers := make(chan *http.Response, uploadsAtOnce) // nil where the connection broke
	sent := make(chan struct{}, uploadsAtOnce)
	var uploads sync.WaitGroup
	for n := range uploadsAtOnce {
		uploads.Go(func() {
			body := &stalledForm{left: uploadedBytes, stalled: sent, release: release}
			answers <- users[n/perUser].send(collections[n/perUser], body)
		})
	}
	taken, refused, told := 0, 0, 0
	for taken+refused < uploadsAtOnce {
		select {
		case <-sent:
			taken++
		case resp := <-answers:
			refused++
			if resp == nil {
				continue // the server closes a connection whose upload it does not read
			}
			told++
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Errorf("an upload too many: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
			}
			_ = resp.Body.Close()
		}
	}
	if taken == 0 || taken > 32 || told == 0 {
		t.Errorf("%d uploads were taken, %d refused, and %d of these with a status", taken, refused, told)
	}
	checkPeak(t, pid, idle, "unfinished uploads")
	close(release) // their forms break off
	uploads.Wait()
	for range taken {
		if resp := <-answers; resp != nil {
			_ = resp.Body.Close()
		}
	}

	page := append([]byte("<title>Large</title><p>The pump costs 40 euros.</p>"), bytes.Repeat([]byte("<!-- sixteen --> "), 24<<20/17)...)
	const large = 2
	for n := range large {
		eventually(t, "a large upload is taken", indexedWithin, func() bool {
			resp := users[n].send(collections[n], bytes.NewReader(formOf(page)))
			if resp == nil {
				t.Fatal("a large upload broke off")
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK // the others may not have ended yet
		})
	}
	for n := range large {
		eventually(t, "a large document is indexed", indexedWithin, func() bool {
			var page struct{ Documents []struct{ State string } }
			users[n].get("/v1/collections/" + collections[n] + "/documents").decode(&page)
			return len(page.Documents) == 1 && page.Documents[0].State == "READY"
		})
	}
	checkPeak(t, pid, idle, "finished uploads")
}

const formHead = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"large.html\"\r\nContent-Type: text/html\r\n\r\n"

func formOf(content []byte) []byte {
	return append(append([]byte(formHead), content...), "\r\n--b--\r\n"...)
}

// stalledForm is a form whose file does not end: some of it arrives, then it
// stalls, and then it breaks off.
type stalledForm struct {
	begun            bool
	left             int
	stalled, release chan struct{}
}

func (f *stalledForm) Read(p []byte) (int, error) {
	if !f.begun {
		f.begun = true
		return copy(p, formHead), nil
	}
	if f.left == 0 {
		f.stalled <- struct{}{}
		<-f.release
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), f.left)
	for k := range p[:n] {
		p[k] = 'x'
	}
	f.left -= n
	return n, nil
}

// send sends a form. It returns nil where the form broke off.
func (c *client) send(collection string, form io.Reader) *http.Response {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.i.base+"/v1/collections/"+collection+"/documents:upload", form)
	if err != nil {
		c.t.Error(err)
		return nil
	}
	req.Header.Set("Authorization", "Bearer "+c.AccessToken)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	// Without the time limit of other requests: an upload that was taken stalls until it is
	// released.
	resp, err := (&http.Client{Transport: c.http.Transport}).Do(req)
	if err != nil {
		return nil
	}
	return resp
}

func checkPeak(t *testing.T, pid int, idle int64, what string) {
	t.Helper()
	grown := memoryOf(t, pid, "VmHWM") - idle
	t.Logf("%s: %d MiB at most above %d MiB", what, grown>>20, idle>>20)
	if grown > uploadMemory {
		t.Errorf("%s took %d MiB, want at most %d MiB", what, grown>>20, uploadMemory>>20)
	}
}

// memoryOf reads a line of a process's memory, in bytes.
func memoryOf(t *testing.T, pid int, name string) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	t.Fatalf("process %d has no %s", pid, name)
	return 0
}

// resetPeak resets VmHWM, the peak of memory, to the memory in use now.
func resetPeak(t *testing.T, pid int) {
	t.Helper()
	const peak = "5"
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(peak), 0); err != nil {
		t.Fatal(err)
	}
}
