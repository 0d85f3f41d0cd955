// Package patch takes over what a client wants changed of a resource.
//
// A room lists once which fields of its type clients may change, by their names in
// the contract:
//
//	var fields = patch.Fields[Prompt]{
//		"display_name": patch.At(func(p *Prompt) *string { return &p.DisplayName }),
//		"tools":        patch.At(func(p *Prompt) *[]string { return &p.Tools }),
//	}
//
// What is not in the list, an update mask may not name; what is in it, the audit
// trail shows when it changed.
package patch

import (
	"maps"
	"reflect"
	"slices"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
)

// Fields are the fields of T that clients may change, by their names in the contract.
type Fields[T any] map[string]Field[T]

// Field is one of them; [At] makes it.
type Field[T any] struct {
	at func(*T) reflect.Value
}

// At is the field whose place in a T the function returns.
func At[T, V any](place func(*T) *V) Field[T] {
	return Field[T]{at: func(of *T) reflect.Value { return reflect.ValueOf(place(of)).Elem() }}
}

// Mask returns the update mask that was given or, when none was, the fields that the
// patch fills (AIP-134).
func (f Fields[T]) Mask(patch T, given []string) []string {
	if len(given) > 0 {
		return given
	}
	var filled []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if value := f[name].at(&patch); !empty(value) {
			filled = append(filled, name)
		}
	}
	return filled
}

// Apply returns the resource with the fields of the mask taken from the patch. The
// fault for one that may not be changed names updateMask.
func (f Fields[T]) Apply(resource, patch T, mask []string) (T, error) {
	for _, name := range mask {
		field, ok := f[name]
		if !ok {
			return resource, fault.Invalid("updateMask", "%q is not a field that can be changed", name)
		}
		field.at(&resource).Set(field.at(&patch))
	}
	return resource, nil
}

// Changes lists the fields that differ, for the audit trail.
func (f Fields[T]) Changes(before, after T) map[string]audit.Change {
	out := map[string]audit.Change{}
	for name, field := range f {
		was, is := field.at(&before), field.at(&after)
		if empty(was) && empty(is) || reflect.DeepEqual(was.Interface(), is.Interface()) {
			continue
		}
		out[name] = audit.Change{Before: was.Interface(), After: is.Interface()}
	}
	return out
}

// empty tells whether a field holds nothing; to the contract, an empty list is as none.
func empty(value reflect.Value) bool {
	return value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0
}
