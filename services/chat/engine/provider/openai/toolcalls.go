package openai

import (
	"strconv"
	"strings"
)

// partialCall is a tool call that is being put together.
type partialCall struct {
	index     int
	id        string
	name      string
	arguments strings.Builder
}

// callSet puts fragments together.
type callSet struct {
	calls []*partialCall
	bytes int
}

// add files a fragment: under the last call of its index, unless it brings a new id,
// which some proxies send with index 0 for every call. A fragment without an index
// begins a call when it has an id, and continues the last one when it has none.
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
			// Another call under the same index, unless an older one has this id.
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

// deltas are the calls as langchaingo can read them: the first delta of a call has
// its type, and those after it, for arguments beyond one line, have none.
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
