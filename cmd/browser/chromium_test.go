// Package browser tests the whole product with a real browser and a real authenticator. It controls
// Chromium by the DevTools protocol and gets TOTP codes from oathtool.
package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

const (
	// startTimeout is long enough for the first start of a browser on a busy machine.
	startTimeout = 60 * time.Second
	callTimeout  = 30 * time.Second
	announcement = "DevTools listening on "
	maxMessage   = 16 << 20
)

// chromium is a running browser with one tab.
type chromium struct {
	t      *testing.T
	conn   *websocket.Conn
	tab    string
	mu     sync.Mutex
	lastID int
}

// openChromium starts a browser, which is killed at the end of the test.
func openChromium(t *testing.T) *chromium {
	t.Helper()
	// The cleanup below kills the browser and its child processes.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lines, err := cmd.StderrPipe()
	must(t, err)
	must(t, cmd.Start())
	drained := make(chan struct{})
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-drained
		_ = cmd.Wait() // it was killed
	})
	found := make(chan string, 1)
	go func() {
		defer close(drained)
		defer close(found)
		for scanner := bufio.NewScanner(lines); scanner.Scan(); {
			if address, ok := strings.CutPrefix(scanner.Text(), announcement); ok {
				found <- address
				_, _ = io.Copy(io.Discard, lines)
			}
		}
	}()
	var address string
	select {
	case address = <-found:
	case <-time.After(startTimeout):
	}
	if address == "" {
		t.Fatal("chromium does not print the address that it listens on")
	}
	c := &chromium{t: t}
	conn, resp, err := websocket.Dial(t.Context(), address, nil)
	must(t, err)
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	c.conn = conn
	c.conn.SetReadLimit(maxMessage)
	t.Cleanup(func() { _ = c.conn.CloseNow() })
	c.openTab()
	return c
}

// openTab opens a tab, to which all further calls go.
func (c *chromium) openTab() {
	c.t.Helper()
	var target struct{ TargetID string }
	c.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	c.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	c.tab = attached.SessionID
}

// message is a message of the protocol, in either direction.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// call makes a call of the protocol. It goes to the tab, if one is open.
func (c *chromium) call(method string, params map[string]any, into any) {
	c.t.Helper()
	if problem := c.tryCall(method, params, into); problem != "" {
		c.t.Fatalf("%s: %s", method, problem)
	}
}

// tryCall is like call, and returns the error message of the browser.
func (c *chromium) tryCall(method string, params map[string]any, into any) (problem string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.t.Context(), callTimeout)
	defer cancel()
	c.lastID++
	must(c.t, wsjson.Write(ctx, c.conn, message{ID: c.lastID, SessionID: c.tab, Method: method, Params: params}))
	for {
		var m message
		must(c.t, wsjson.Read(ctx, c.conn, &m))
		if m.ID != c.lastID {
			continue // an event
		}
		if m.Error != nil {
			return m.Error.Message
		}
		if into != nil {
			must(c.t, json.Unmarshal(m.Result, into))
		}
		return ""
	}
}

// visit opens a page and waits until it is loaded.
func (c *chromium) visit(address string) {
	c.t.Helper()
	var navigated struct{ ErrorText string }
	c.call("Page.navigate", map[string]any{"url": address}, &navigated)
	if navigated.ErrorText != "" {
		c.t.Fatalf("%s: %s", address, navigated.ErrorText)
	}
	c.eval(`new Promise(done => document.readyState === "complete" ? done() : addEventListener("load", () => done()))`, nil)
}

// eval evaluates an expression in the page, waits for its promise and decodes the result.
func (c *chromium) eval(expression string, into any) {
	c.t.Helper()
	if problem := c.tryEval(expression, into); problem != "" {
		c.t.Fatalf("%s", problem)
	}
}

// tryEval is like eval, and returns the exception.
func (c *chromium) tryEval(expression string, into any) (thrown string) {
	c.t.Helper()
	var out struct {
		Result struct {
			Value json.RawMessage
		}
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if problem := c.tryCall("Runtime.evaluate", map[string]any{
		"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true,
	}, &out); problem != "" {
		return problem
	}
	if e := out.ExceptionDetails; e != nil {
		return fmt.Sprintf("%s %s", e.Text, e.Exception.Description)
	}
	if into != nil {
		must(c.t, json.Unmarshal(out.Result.Value, into))
	}
	return ""
}

// waitFor waits until an expression is true in the page. The browser may load other pages in between.
func (c *chromium) waitFor(expression string) {
	c.t.Helper()
	ticker, deadline := time.NewTicker(20*time.Millisecond), time.After(callTimeout)
	defer ticker.Stop()
	for {
		var holds bool
		if c.tryEval("document.readyState === 'complete' && Boolean("+expression+")", &holds) == "" && holds {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			var where string
			c.tryEval("location.href + ' ' + document.body?.innerText", &where)
			c.t.Fatalf("timed out waiting for %s at %s", expression, where)
		}
	}
}

// authenticator adds a virtual authenticator for passkeys to the browser. It verifies its user if
// verifies is true.
func (c *chromium) authenticator(verifies bool) string {
	c.t.Helper()
	c.call("WebAuthn.enable", map[string]any{"enableUI": false}, nil)
	var added struct{ AuthenticatorID string }
	c.call("WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{
		"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
		"hasUserVerification": true, "isUserVerified": verifies, "automaticPresenceSimulation": true,
	}}, &added)
	return added.AuthenticatorID
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
