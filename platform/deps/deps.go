// Package deps checks that a struct of dependencies is complete.
//
// A constructor takes one struct and checks it once:
//
//	type Deps struct {
//		DB    *postgres.DB
//		Clock clock.Clock
//		Meter metric.MeterProvider `deps:"optional"`
//	}
//
//	func New(d Deps) (*Service, error) {
//		if err := deps.Check("assistant", d); err != nil {
//			return nil, err
//		}
//		return &Service{deps: d}, nil
//	}
package deps

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Check returns an error for each field of a struct that has no value. The error names
// the field: "assistant: Deps.Clock is required". A field needs a value when it is a
// pointer, interface, function, map, slice, channel or string. A nil pointer inside an
// interface counts as no value. Numbers, booleans and nested structs are not checked,
// nor is a field with the tag `deps:"optional"`.
func Check(owner string, deps any) error {
	value := reflect.ValueOf(deps)
	name, _, _ := strings.Cut(value.Type().Name(), "[") // without the arguments of a generic type
	var missing []error
	for i := range value.NumField() {
		field := value.Type().Field(i)
		if field.Tag.Get("deps") != "optional" && empty(value.Field(i)) {
			missing = append(missing, fmt.Errorf("%s: %s.%s is required", owner, name, field.Name))
		}
	}
	return errors.Join(missing...)
}

func empty(value reflect.Value) bool {
	switch value.Kind() {
	case reflect.Interface:
		return value.IsNil() || empty(value.Elem())
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan:
		return value.IsNil()
	case reflect.Slice, reflect.String:
		return value.Len() == 0
	default:
		return false
	}
}
