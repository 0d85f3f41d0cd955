// Package openai reaches any server that speaks OpenAI's chat completions and
// embeddings: OpenAI itself, vLLM, llama.cpp, Ollama under /v1, and the many
// services that are compatible with it.
//
// langchaingo builds the requests and reads the answers. Between it and the network
// stands a repairing http.RoundTripper, because langchaingo v0.1.14 misreads much of
// what real servers send:
//
//   - fragments of parallel tool calls are put together by their index, and by a new
//     id on the same index, and passed on as complete calls just before the finish
//     reason;
//   - an error event in the stream, and an end without a finish reason, become read
//     errors instead of a short answer that looks whole;
//   - status and Retry-After are read where they still exist, and become faults;
//   - content that would overrun langchaingo's 64 KiB line is cut into several deltas;
//   - parameters that langchaingo drops (top_p) are put in, and one that it always
//     sends (temperature) is taken out unless it was asked for.
//
// langchaingo delivers tool calls through the same callback as text, as JSON. The
// transport counts the payloads that it hands over, so the adapter knows exactly
// which of them were text: a model may write JSON that looks like a tool call, and
// the reader still gets it.
package openai
