// Package patch applies the update of a client to a resource.
//
// A room declares once which fields of its type clients may change. The option patch of
// the tag db marks them, when the column has the name of the field in the contract:
//
//	type Prompt struct {
//		DisplayName string `db:"display_name,patch"`
//	}
//
//	var fields = patch.Of[Prompt]()
//
// Other rooms list them by their names in the contract:
//
//	var fields = patch.Fields[Prompt]{
//		"display_name": patch.At(func(p *Prompt) *string { return &p.DisplayName }),
//	}
//
// An update mask may name only these fields, and the audit trail shows how they changed.
package patch

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/fault"
)

// Fields are the fields of T that clients may change, by their names in the contract.
type Fields[T any] map[string]Field[T]

// Field is one field of T. [At] and [Of] return it.
type Field[T any] struct {
	at func(*T) reflect.Value
}

// Of returns the fields of T whose tag db has the option patch, by their columns.
func Of[T any]() Fields[T] {
	out := Fields[T]{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		column, options, _ := strings.Cut(field.Tag.Get("db"), ",")
		if slices.Contains(strings.Split(options, ","), "patch") {
			out[column] = Field[T]{at: func(of *T) reflect.Value { return reflect.ValueOf(of).Elem().FieldByIndex(field.Index) }}
		}
	}
	return out
}

// At returns the field that place points to.
func At[T, V any](place func(*T) *V) Field[T] {
	return Field[T]{at: func(of *T) reflect.Value { return reflect.ValueOf(place(of)).Elem() }}
}

// Mask returns the given update mask. When it is empty, Mask returns the fields that have
// a value in the patch (AIP-134).
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

// Apply returns the resource with the fields of the mask set to those of the patch. A mask
// that names another field is a fault for updateMask.
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

// empty reports whether a field has no value. The contract treats an empty list as none.
func empty(value reflect.Value) bool {
	return value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0
}
