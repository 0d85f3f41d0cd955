// Package modelstub is an OpenAI-compatible model server for tests and load
// programs, made to misbehave on request.
//
// It speaks the wire format that real servers speak: Server-Sent Events with a
// role delta first, content deltas, tool calls in fragments, a usage chunk when
// the request asked for one, and [DONE]. A test scripts what comes back:
//
//	stub := modelstub.New(modelstub.Options{})
//	stub.Enqueue(
//		modelstub.Reply{Status: 429, RetryAfter: time.Second},
//		modelstub.Reply{Text: []string{"Forty", "-two"}},
//	)
//	server := httptest.NewServer(stub)
//
// Replies are used in order; when the script is used up, Options.Default
// answers. Every fault that a provider has been seen to commit is a field of
// Reply: refusals with and without Retry-After, garbage bodies, an error event in
// mid-stream, a connection reset, an end without a finish reason, tool calls
// whose fragments interleave or repeat their type.
//
// Load programs read Server.Timings: the moment at which the server wrote its
// own first token is the floor that a latency is compared with.
package modelstub
