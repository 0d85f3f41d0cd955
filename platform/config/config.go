// Package config reads settings from the environment. No other package reads the
// environment.
//
// A setting is a struct field with an env tag. Its default is in envDefault, and its
// comment describes it. The struct is in the package that uses the setting:
//
//	type Config struct {
//		// How long a sign-in lasts without being used.
//		SessionIdle time.Duration `env:"GATEHOUSE_SESSION_IDLE" envDefault:"720h"`
//	}
//
// [Load] fills a struct of such structs and reports all problems at once. The value of a
// field of type [Secret] can also be in a file. The variable with _FILE appended to its
// name then contains the path. In the local environment a .env file is read too. The environment has
// priority over it.
//
// docs/config.md is generated from the same structs (see [Describe]).
package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

// Environment is the name of an environment.
type Environment string

// The environments. They differ only in their settings.
const (
	Local       Environment = "local"
	Development Environment = "development"
	Production  Environment = "production"
)

const (
	environmentVariable = "GATEHOUSE_ENV"
	fileSuffix          = "_FILE"
	ownPrefix           = "GATEHOUSE_"
	dotenv              = ".env"
)

// Read returns the variables of the process. In the local environment it adds those of
// .env that are not set.
func Read() (map[string]string, error) {
	out := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		out[name] = value
	}
	if e := out[environmentVariable]; e != "" && e != string(Local) {
		return out, nil
	}
	file, err := godotenv.Read(dotenv)
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dotenv, err)
	}
	for name, value := range file {
		if _, set := out[name]; !set {
			out[name] = value
		}
	}
	return out, nil
}

// Load fills target, a pointer to a struct, from variables. The error joins all problems:
// invalid values, unreadable files, a secret that is given twice, and variables with the
// prefix of Gatehouse that are not settings, which are probably misspelled.
func Load(target any, variables map[string]string) error {
	variables, problems := withFiles(variables, secretNames(target))
	if err := env.ParseWithOptions(target, env.Options{Environment: variables}); err != nil {
		problems = append(problems, flatten(err)...)
	}
	problems = append(problems, unknown(target, variables)...)
	return errors.Join(problems...)
}

// withFiles replaces each NAME_FILE of a secret with NAME and the content of the file.
func withFiles(variables map[string]string, secrets []string) (map[string]string, []error) {
	out := make(map[string]string, len(variables))
	for name, value := range variables {
		out[name] = value
	}
	var problems []error
	for _, name := range secrets {
		path := out[name+fileSuffix]
		if path == "" {
			continue
		}
		delete(out, name+fileSuffix)
		if out[name] != "" {
			problems = append(problems, fmt.Errorf("%s and %s%s are both set", name, name, fileSuffix))
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s%s: %w", name, fileSuffix, err))
			continue
		}
		if out[name] = strings.TrimSpace(string(content)); out[name] == "" {
			problems = append(problems, fmt.Errorf("%s%s: %s is empty", name, fileSuffix, path))
		}
	}
	return out, problems
}

func flatten(err error) []error {
	var aggregate env.AggregateError
	if errors.As(err, &aggregate) {
		return aggregate.Errors
	}
	return []error{err}
}

func secretNames(target any) []string {
	var out []string
	walk(reflect.TypeOf(target), func(field reflect.StructField, name string) {
		if field.Type == reflect.TypeFor[Secret]() {
			out = append(out, name)
		}
	})
	return out
}

// unknown reports variables with the prefix of Gatehouse that are not settings.
func unknown(target any, variables map[string]string) []error {
	known := map[string]bool{}
	walk(reflect.TypeOf(target), func(_ reflect.StructField, name string) { known[name] = true })
	var names []string
	for name := range variables {
		if strings.HasPrefix(name, ownPrefix) && !known[name] {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	problems := make([]error, 0, len(names))
	for _, name := range names {
		problems = append(problems, fmt.Errorf("%s is not a setting; docs/config.md lists them", name))
	}
	return problems
}

// walk visits every field with an env tag, depth first.
func walk(t reflect.Type, visit func(field reflect.StructField, name string)) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		if name != "" {
			visit(field, name)
			continue
		}
		if field.IsExported() {
			walk(field.Type, visit)
		}
	}
}

// Setting describes one setting.
type Setting struct {
	// Name is the name of the variable.
	Name string
	// Default is the value when the variable is not set.
	Default string
	// Secret reports whether NAME_FILE is accepted too.
	Secret bool
	// Package, Struct and Field name the place of its declaration.
	Package, Struct, Field string
}

// Describe returns the settings of a struct in the order of their declaration.
func Describe(target any) []Setting {
	var out []Setting
	describe(reflect.TypeOf(target), &out)
	return out
}

func describe(t reflect.Type, out *[]Setting) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("env"), ",")
		switch {
		case name != "":
			*out = append(*out, Setting{
				Name: name, Default: field.Tag.Get("envDefault"),
				Secret:  field.Type == reflect.TypeFor[Secret](),
				Package: t.PkgPath(), Struct: t.Name(), Field: field.Name,
			})
		case field.IsExported():
			describe(field.Type, out)
		}
	}
}
