// Package modelstub is an OpenAI-compatible model server for tests and load programs. It can
// be told to fail.
//
// It uses the wire format of real servers: Server-Sent Events with a role delta first, content
// deltas, tool calls in fragments, a usage chunk when the request has asked for one, and
// [DONE]. A test writes a script of the replies:
//
//	stub := modelstub.New(modelstub.Options{})
//	stub.Enqueue(
//		modelstub.Reply{Status: 429, RetryAfter: time.Second},
//		modelstub.Reply{Text: []string{"Forty", "-two"}},
//	)
//	server := httptest.NewServer(stub)
//
// Replies are used in order. After the last one, Options.Default makes the replies. The fields
// of Reply are the failures that real providers have shown: refusals with and without
// Retry-After, garbage bodies, an error event within a stream, a connection reset, an end
// without a finish reason, and tool calls whose fragments are interleaved or repeat their
// type.
//
// Load programs read Server.Timings. The time at which the server writes its first token is the
// lower bound of a latency.
package modelstub
