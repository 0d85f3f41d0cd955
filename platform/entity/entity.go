// Package entity stores the resources of an organization and writes them in one way.
//
// A room declares its type once:
//
//	type Prompt struct {
//		entity.Meta
//		DisplayName string `db:"display_name,patch"`
//		Text        string `db:"text,patch"`
//	}
//
//	var kind = entity.Kind[Prompt]{
//		Service: "management", Type: "prompt",
//		Table: postgres.MustTable[Prompt]("prompts"), Fields: patch.Of[Prompt](), List: paging.List{…},
//	}
//
// [Store] reads and writes its rows. [Writer] creates, changes and deletes a resource,
// each in one transaction with its row in the audit trail.
package entity

import (
	"cmp"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse/gatehouse/platform/audit"
	"github.com/gatehouse/gatehouse/platform/clock"
	"github.com/gatehouse/gatehouse/platform/paging"
	"github.com/gatehouse/gatehouse/platform/patch"
	"github.com/gatehouse/gatehouse/platform/postgres"
)

// Meta has the fields of every resource of an organization. A type embeds it.
type Meta struct {
	OrganizationID string `db:"organization_id,key"`
	ID             string `db:"id,key"`
	// Revision is the number of writes.
	Revision   int64     `db:"revision"`
	CreateTime time.Time `db:"created_at,fixed"`
	UpdateTime time.Time `db:"updated_at"`
}

// Etag changes with each write.
func (m Meta) Etag() string { return strconv.FormatInt(m.Revision, 36) }

// Kind describes a type of resource. It is a constant of its room.
type Kind[T any] struct {
	// Service and Type name the resource in the audit trail: the action is
	// "service.type.verb", the resource type is Type ("service_account").
	Service, Type string
	// Title is what error texts call the resource; by default Type in words.
	Title string
	// Table maps the columns. T embeds [Meta].
	Table postgres.Table[T]
	// Fields are the fields that clients may change.
	Fields patch.Fields[T]
	// Brief leaves the fields out of the audit rows of creation and deletion.
	Brief bool
	// List declares the filters and the order of a list.
	List paging.List
}

// Noun returns what error texts call the resource: "service account".
func (k Kind[T]) Noun() string {
	return cmp.Or(k.Title, strings.ReplaceAll(k.Type, "_", " "))
}

// Deps is what the room of an entity needs when it needs no other room.
type Deps struct {
	DB     *postgres.DB
	Tokens *paging.Tokens
	Trail  *audit.Trail
	Clock  clock.Clock
}

// nouns returns the plural of [Kind.Noun]. The list is named by it, unless the kind has a
// title.
func (k Kind[T]) nouns() string {
	if k.Title != "" {
		return k.Title + "s"
	}
	return k.List.Name
}

// difference returns the changes that the creation or deletion of a resource has in the audit
// trail.
func (k Kind[T]) difference(before, after T) map[string]audit.Change {
	if k.Brief {
		return map[string]audit.Change{}
	}
	return k.Fields.Changes(before, after)
}

// meta returns the embedded Meta of a resource.
func meta[T any](of *T) *Meta {
	m, _ := reflect.ValueOf(of).Elem().FieldByName("Meta").Addr().Interface().(*Meta)
	return m
}

// Reply returns the message of a resource, for an RPC that returns one.
func Reply[T, M any](encode func(T) *M, of T, err error) (*M, error) {
	if err != nil {
		return nil, err
	}
	return encode(of), nil
}
