package openai

import (
	"strconv"
	"strings"
)

// partialCall is a tool call of which some fragments have arrived.
type partialCall struct {
	index     int
	id        string
	name      string
	arguments strings.Builder
}

// callSet joins the fragments of tool calls.
type callSet struct {
	calls []*partialCall
	bytes int
}

// add adds a fragment to the last call with its index. A fragment with a new id starts a new
// call, because some proxies send the index 0 for every call. A fragment without an index
// starts a call when it has an id, and continues the last call otherwise.
func (s *callSet) add(d toolDelta) {
	call := s.find(d)
	if call == nil {
		call = &partialCall{index: len(s.calls)}
		if d.Index != nil {
			call.index = *d.Index
		}
		s.calls = append(s.calls, call)
	}
	if call.id == "" {
		call.id = d.ID
	}
	if call.name == "" {
		call.name = d.Function.Name
	}
	call.arguments.WriteString(string(d.Function.Arguments))
	s.bytes += len(d.Function.Arguments)
}

func (s *callSet) find(d toolDelta) *partialCall {
	for i := len(s.calls) - 1; i >= 0; i-- {
		call := s.calls[i]
		if d.Index != nil && call.index != *d.Index {
			continue
		}
		if d.ID != "" && call.id != "" && call.id != d.ID {
			// This is another call with the same index, unless an older call has this id.
			if older := s.byID(d.ID); older != nil {
				return older
			}
			return nil
		}
		if d.Index == nil && d.ID != "" && call.id != d.ID {
			return nil
		}
		return call
	}
	return nil
}

func (s *callSet) byID(id string) *partialCall {
	for _, call := range s.calls {
		if call.id == id {
			return call
		}
	}
	return nil
}

// deltas returns the calls in the form that langchaingo reads. The first delta of a call has
// its type. Further deltas, for arguments that are longer than one line, have none.
func (s *callSet) deltas() []outToolCall {
	var out []outToolCall
	for i, call := range s.calls {
		id := call.id
		if id == "" {
			id = "call_" + strconv.Itoa(i+1)
		}
		arguments := call.arguments.String()
		if strings.TrimSpace(arguments) == "" {
			arguments = "{}"
		}
		parts := split(arguments)
		out = append(out, outToolCall{ID: id, Type: "function", Function: outFunction{Name: call.name, Arguments: parts[0]}})
		for _, part := range parts[1:] {
			out = append(out, outToolCall{Function: outFunction{Arguments: part}})
		}
	}
	return out
}
