package modelstub

import (
	"encoding/base64"
	"encoding/binary"
	"hash/fnv"
	"math"
	"net/http"
	"slices"
)

func (s *Server) embeddings(w http.ResponseWriter, r *http.Request) {
	req, ok := s.read(w, r)
	if !ok {
		return
	}
	if reply, scripted := s.take(); scripted && refuse(w, reply) {
		return
	}
	dimensions := s.options.Dimensions
	if req.dimensions > 0 {
		dimensions = req.dimensions
	}
	data := make([]map[string]any, 0, len(req.Input))
	tokens := 0
	for i, text := range req.Input {
		tokens += len(text)/4 + 1
		data = append(data, map[string]any{"object": "embedding", "index": i, "embedding": encode(Vector(text, dimensions), req.encodingFormat)})
	}
	if s.options.ShuffleEmbeddings {
		slices.Reverse(data)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"object": "list", "model": req.Model, "data": data,
		"usage": map[string]int{"prompt_tokens": tokens, "total_tokens": tokens},
	})
}

// Vector returns the stub's embedding of a text: a unit vector from the text's hash, the same
// every time.
func Vector(text string, dimensions int) []float32 {
	hash := fnv.New64a()
	// Writing to a hash never fails.
	_, _ = hash.Write([]byte(text))
	state := hash.Sum64() | 1
	vector := make([]float32, dimensions)
	var norm float64
	for i := range vector {
		// xorshift64 is random enough for a stub and has no shared state.
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		value := float64(state>>11)/float64(1<<53)*2 - 1
		vector[i] = float32(value)
		norm += value * value
	}
	scale := float32(1 / math.Sqrt(norm))
	for i := range vector {
		vector[i] *= scale
	}
	return vector
}

// encode returns a vector in the requested form: a list, or base64 of little-endian float32s.
func encode(vector []float32, format string) any {
	if format != "base64" {
		return vector
	}
	raw := make([]byte, 0, 4*len(vector))
	for _, value := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
