package main

import (
	"fmt"
	"go/token"
	"go/types"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// maxName keeps the names of constraints and indexes below Postgres' 63 bytes.
const maxName = 40

// nameForm is the form of a name in a contract.
var nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*$`)

// reserved are names that the room's own code, the contract or SQL needs. Keywords and
// predeclared names of Go are reserved too.
var reserved = []string{
	"audit", "clock", "codec", "context", "deps", "entity", "fault", "grpc", "identity", "item", "kind", "migrations", "organization",
	"paging", "patch", "postgres", "room", "rpcserver", "service", "store", "strings", "timestamppb", // names in the room
	"sample_item", "template", // what the generator replaces
	"enum", "message", "option", "package", "rpc", // protobuf
	"column", "constraint", "default", "group", "index", "order", "schema", "select", "table", "user", "where", // SQL
}

// services are the services that take entities. Auth is not among them: its tables are
// erased by functions of their own.
var services = []string{"management", "chat"}

// Names are the spellings of an entity's name.
type Names struct {
	Service string // management
	Snake   string // prompt_version: fields, the audit trail
	Plural  string // prompt_versions: the table, permissions, lists
	Pascal  string // PromptVersion: messages and types
	Pascals string // PromptVersions
	Camel   string // promptVersion: fields in JSON
	Camels  string // promptVersions
	Package string // promptversion
	Path    string // prompt-versions: the REST path
	Noun    string // prompt version: texts
	// PluralNoun is the plural in texts: prompt versions.
	PluralNoun string
}

// names returns the spellings of a name. An empty plural is formed by rule.
func names(name, plural, service string) Names {
	if plural == "" {
		plural = pluralOf(name)
	}
	return Names{
		Service: service, Snake: name, Plural: plural, Pascal: pascal(name), Pascals: pascal(plural), Camel: camel(name), Camels: camel(plural),
		Package: strings.ReplaceAll(name, "_", ""), Path: strings.ReplaceAll(plural, "_", "-"),
		Noun: strings.ReplaceAll(name, "_", " "), PluralNoun: strings.ReplaceAll(plural, "_", " "),
	}
}

// Check reports why the names cannot be used.
func (n Names) Check() error {
	for _, spelling := range [][2]string{{"NAME", n.Snake}, {"PLURAL", n.Plural}} {
		label, name := spelling[0], spelling[1]
		switch {
		case !nameForm.MatchString(name):
			return fmt.Errorf("%s: %q must be words of lower-case letters and digits, joined by _, such as prompt_version", label, name)
		case len(name) > maxName:
			return fmt.Errorf("%s: %q is longer than %d letters", label, name, maxName)
		}
	}
	switch {
	case !slices.Contains(services, n.Service):
		return fmt.Errorf("SERVICE: %q must be one of %s", n.Service, strings.Join(services, ", "))
	case n.Snake == n.Plural:
		return fmt.Errorf("PLURAL: %q must differ from NAME", n.Plural)
	case slices.Contains(reserved, n.Snake) || token.IsKeyword(n.Package) || types.Universe.Lookup(n.Package) != nil:
		return fmt.Errorf("NAME: %q is a reserved word", n.Snake)
	}
	return nil
}

func (n Names) contract() string {
	return "proto/gatehouse/" + n.Service + "/v1/" + n.Snake + ".proto"
}
func (n Names) room() string     { return "services/" + n.Service + "/" + n.Package }
func (n Names) roomFile() string { return n.room() + "/" + n.Package + ".go" }
func (n Names) fixture() string  { return "cmd/surface/testdata/fixtures/" + n.Snake + ".json" }
func (n Names) migrationGlob() string {
	return "services/" + n.Service + "/migrations/*_" + n.Plural + ".sql"
}

func pluralOf(name string) string {
	switch {
	case strings.HasSuffix(name, "y") && len(name) > 1 && !strings.ContainsRune("aeiou", rune(name[len(name)-2])):
		return name[:len(name)-1] + "ies"
	case strings.HasSuffix(name, "s"), strings.HasSuffix(name, "x"), strings.HasSuffix(name, "z"),
		strings.HasSuffix(name, "ch"), strings.HasSuffix(name, "sh"):
		return name + "es"
	default:
		return name + "s"
	}
}

func pascal(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		for i, r := range word {
			if i == 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
		}
	}
	return b.String()
}

func camel(name string) string {
	out := pascal(name)
	if out == "" {
		return out
	}
	return strings.ToLower(out[:1]) + out[1:]
}

// article returns a noun with its indefinite article.
func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
