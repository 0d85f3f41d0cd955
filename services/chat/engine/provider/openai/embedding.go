package openai

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/fault"
	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	"github.com/gatehouse/gatehouse/services/chat/engine/model"
)

const (
	// maxBatch is how many texts one request has. It is much less than servers accept, so
	// that a retry repeats little.
	maxBatch = 64
	// maxEmbeddingBytes is how many bytes of one response are read.
	maxEmbeddingBytes = 64 << 20
)

// Embedder embeds texts with /v1/embeddings of a server. It does not use langchaingo's client,
// which ignores the index of each vector and so assigns vectors to the wrong texts when a
// server changes their order.
type Embedder struct {
	provider   *Provider
	name       string
	dimensions int
}

// Embedder returns the embedder of a model. The request does not name the dimensions, because
// most models have one length only, and many servers refuse the parameter. A vector of another
// length is an error.
func (p *Provider) Embedder(name string, dimensions int) *Embedder {
	return &Embedder{provider: p, name: name, dimensions: dimensions}
}

// Version identifies the provider, the model and the length of its vectors.
func (e *Embedder) Version() string {
	return fmt.Sprintf("%s/%s/%d", e.provider.options.Provider, e.name, e.dimensions)
}

// Dimensions is the length of the vectors.
func (e *Embedder) Dimensions() int { return e.dimensions }

// Embed returns a unit vector for each text, in order.
func (e *Embedder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	ctx, cancel := context.WithTimeout(ctx, e.provider.options.Timeout)
	defer cancel()
	vectors := make([][]float32, 0, len(texts))
	for start := 0; start < len(texts); start += maxBatch {
		batch, err := e.retrying(ctx, texts[start:min(start+maxBatch, len(texts))])
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, batch...)
	}
	return vectors, nil
}

// retrying embeds one batch, and retries after a temporary failure.
func (e *Embedder) retrying(ctx context.Context, texts []string) ([][]float32, error) {
	options := e.provider.options
	for try := 1; ; try++ {
		vectors, err := e.batch(ctx, texts)
		if err == nil {
			return vectors, nil
		}
		if ctx.Err() != nil {
			return nil, fault.From(ctx.Err())
		}
		wait, again := options.Retry.Next(try, err)
		if !again {
			return nil, err
		}
		if err := clock.Sleep(ctx, options.Clock, wait); err != nil {
			return nil, fault.From(err)
		}
	}
}

func (e *Embedder) batch(ctx context.Context, texts []string) ([][]float32, error) {
	provider := e.provider.options.Provider
	body, err := json.Marshal(map[string]any{"model": e.name, "input": texts, "encoding_format": "base64"})
	if err != nil {
		return nil, rejected(provider, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.provider.options.BaseURL+"/embeddings", bytes.NewReader(body))
	if err != nil {
		return nil, rejected(provider, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if key := e.provider.options.APIKey; key != noKey {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := e.provider.client.Do(request)
	if err != nil {
		return nil, unreachable(provider, err)
	}
	defer response.Body.Close() //nolint:errcheck // the body was read
	if response.StatusCode != http.StatusOK {
		return nil, refusal(provider, e.name, response)
	}
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxEmbeddingBytes))
	if err != nil {
		return nil, interrupted(provider, err)
	}
	vectors, err := e.decode(raw, len(texts))
	if err != nil {
		return nil, fault.Wrap(err, faultv1.Reason_REASON_PROVIDER_BROKEN_STREAM, "The response of the model provider %q could not be read.", provider)
	}
	return vectors, nil
}

// decode returns the vectors in the order of the texts. It checks that each text has one.
func (e *Embedder) decode(raw []byte, n int) ([][]float32, error) {
	var response struct {
		Data []struct {
			Index     int        `json:"index"`
			Embedding wireVector `json:"embedding"`
		} `json:"data"`
	}
	if err := json.Unmarshal(raw, &response); err != nil {
		return nil, err
	}
	if len(response.Data) != n {
		return nil, fmt.Errorf("%d vectors for %d texts", len(response.Data), n)
	}
	vectors := make([][]float32, n)
	for _, item := range response.Data {
		if item.Index < 0 || item.Index >= n || vectors[item.Index] != nil {
			return nil, fmt.Errorf("index %d of %d is out of range or duplicate", item.Index, n)
		}
		if len(item.Embedding) != e.dimensions {
			return nil, errors.Join(model.ErrPermanent, fmt.Errorf("a vector has %d dimensions, %d are configured", len(item.Embedding), e.dimensions))
		}
		vector, err := unit(item.Embedding)
		if err != nil {
			return nil, err
		}
		vectors[item.Index] = vector
	}
	return vectors, nil
}

func unit(vector []float32) ([]float32, error) {
	var square float64
	for _, value := range vector {
		square += float64(value) * float64(value)
	}
	if square == 0 || math.IsNaN(square) || math.IsInf(square, 0) {
		return nil, errors.New("a vector has no direction")
	}
	scale := float32(1 / math.Sqrt(square))
	for i := range vector {
		vector[i] *= scale
	}
	return vector, nil
}

// wireVector is a vector in base64 of little-endian float32s, which needs a third of the
// bytes, or a list, from servers without base64.
type wireVector []float32

// UnmarshalJSON implements json.Unmarshaler.
func (v *wireVector) UnmarshalJSON(raw []byte) error {
	if len(raw) == 0 || raw[0] != '"' {
		var list []float32
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		*v = list
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	encoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	if len(encoded)%4 != 0 {
		return errors.New("the bytes of a vector are not float32s")
	}
	*v = make([]float32, len(encoded)/4)
	for i := range *v {
		(*v)[i] = math.Float32frombits(binary.LittleEndian.Uint32(encoded[4*i:]))
	}
	return nil
}
