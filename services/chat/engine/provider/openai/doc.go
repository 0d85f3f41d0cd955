// Package openai is the client of servers with OpenAI's protocol for chat completions and
// embeddings: OpenAI itself, vLLM, llama.cpp, Ollama under /v1, and other compatible services.
//
// langchaingo builds the requests and reads the answers. An http.RoundTripper between
// langchaingo and the network repairs both, because langchaingo v0.1.14 misreads much of what
// real servers send:
//
//   - It joins the fragments of parallel tool calls by their index, and separates calls with
//     different ids on the same index. It passes complete calls on, directly before the finish
//     reason.
//   - It converts an error event in the stream, and an end without a finish reason, to read
//     errors. langchaingo would return a short answer as if it were complete.
//   - It reads status and Retry-After, which langchaingo loses, and converts them to faults.
//   - It divides content that is too long for langchaingo's lines of 64 KiB into several deltas.
//   - It adds parameters that langchaingo ignores (top_p), and removes one that langchaingo
//     always sends (temperature) unless the request has it.
//
// langchaingo passes tool calls to the same callback as text, as JSON. The transport counts the
// payloads that it passes on, so the adapter knows which of them are text. A model may write
// JSON that looks like a tool call, and it still counts as text.
package openai
