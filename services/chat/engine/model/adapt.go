package model

import (
	"context"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"github.com/gatehouse/gatehouse/platform/fault"
)

// Adapt returns a Model for a langchaingo model. The langchaingo model must stream only text,
// return an error for a canceled call, and report why it has stopped. The providers of
// langchaingo itself do not do so, and need repairs first.
func Adapt(name string, llm llms.Model) Model { return &adapted{name: name, llm: llm} }

type adapted struct {
	name string
	llm  llms.Model
}

func (a *adapted) Name() string { return a.name }

func (a *adapted) Stream(ctx context.Context, req Request, emit func(Delta) error) (Result, error) {
	var (
		text    strings.Builder
		emitErr error
	)
	receive := func(_ context.Context, piece []byte) error {
		if len(piece) == 0 {
			return nil
		}
		text.Write(piece)
		emitErr = emit(Delta{Text: string(piece)})
		return emitErr
	}
	response, err := a.llm.GenerateContent(ctx, req.Messages, append(CallOptions(req), llms.WithStreamingFunc(receive))...)
	result := Collect(response)
	result.Model, result.Text = a.name, text.String()
	result.Usage = OrEstimate(result, req)
	switch {
	case emitErr != nil:
		return result, emitErr
	case ctx.Err() != nil:
		return result, fault.From(ctx.Err())
	case err != nil:
		return result, fault.From(err)
	}
	return result, nil
}
