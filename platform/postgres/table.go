package postgres

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Table maps the fields of a struct to the columns of a table. The mapping is declared
// once, by the tag db of each field, and drives select, scan, insert and update:
//
//	type Prompt struct {
//		OrganizationID string    `db:"organization_id,key"`
//		ID             string    `db:"id,key"`
//		DisplayName    string    `db:"display_name"`
//		TagIDs         []string  `db:"tag_ids,cast:uuid[]"`
//		UseCount       int       `db:"use_count,read"`
//		CreateTime     time.Time `db:"created_at,fixed"`
//	}
//
// These options may follow the column:
//   - key: the column is part of the primary key; it is never updated.
//   - fixed: Insert writes the column, Update does not.
//   - read: the column is only read. [MustTable] takes an expression for it when it is
//     not a column of the table.
//   - cast:TYPE: a value is cast to TYPE when it is written. Lists of uuid need it.
//   - patch: clients may change the field (package patch).
//
// Fields of an embedded struct count as if they were declared in place. Fields without
// the tag are ignored. A nil slice is written as an empty array, except for bytes.
type Table[T any] struct {
	columns                                 []tableColumn
	selection, lock, insert, update, remove string
	name, where                             string
}

type tableColumn struct {
	name, expression, cast string
	index                  []int
	key, fixed, read       bool
}

// MustTable returns the mapping of T to a table. Each pair of expressions is the name of
// a read column and the SQL that computes it. MustTable panics when a tag is wrong, as
// that is a mistake in the source.
func MustTable[T any](name string, expressions ...string) Table[T] {
	var t Table[T]
	for _, field := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		if tag, ok := field.Tag.Lookup("db"); ok && !field.Anonymous {
			t.columns = append(t.columns, parseColumn(name, tag, field.Index))
		}
	}
	for i := 0; i+1 < len(expressions); i += 2 {
		at := slices.IndexFunc(t.columns, func(c tableColumn) bool { return c.name == expressions[i] && c.read })
		if at < 0 {
			panic(fmt.Sprintf("postgres: table %s has no read column %s", name, expressions[i]))
		}
		t.columns[at].expression = expressions[i+1]
	}
	if !slices.ContainsFunc(t.columns, tableColumn.isKey) {
		panic(fmt.Sprintf("postgres: table %s has no key column", name))
	}
	t.compile(name)
	return t
}

// compile writes the statements once, as their text is also the key under which a
// connection keeps their plans.
func (t *Table[T]) compile(name string) {
	var keys, selected, inserted, places, sets []string
	for _, c := range t.columns {
		if c.key {
			keys = append(keys, fmt.Sprintf("%s = $%d", c.name, len(keys)+1))
		}
	}
	for _, c := range t.columns {
		selected = append(selected, c.expression)
		if c.inserted() {
			inserted = append(inserted, c.name)
			places = append(places, fmt.Sprintf("$%d%s", len(inserted), c.cast))
		}
		if c.updated() {
			sets = append(sets, fmt.Sprintf("%s = $%d%s", c.name, len(keys)+len(sets)+1, c.cast))
		}
	}
	t.name = name
	t.where = " WHERE " + strings.Join(keys, " AND ")
	t.selection = "SELECT " + strings.Join(selected, ", ") + " FROM " + name
	t.lock = t.selection + t.where + " FOR UPDATE OF " + name
	t.insert = "INSERT INTO " + name + " (" + strings.Join(inserted, ", ") + ") VALUES (" + strings.Join(places, ", ") + ")"
	t.update = "UPDATE " + name + " SET " + strings.Join(sets, ", ") + t.where
	t.remove = "DELETE FROM " + name + t.where
}

func parseColumn(table, tag string, index []int) tableColumn {
	name, options, _ := strings.Cut(tag, ",")
	c := tableColumn{name: name, expression: name, index: index}
	for option := range strings.SplitSeq(options, ",") {
		switch kind, value, _ := strings.Cut(option, ":"); kind {
		case "", "patch":
		case "key":
			c.key = true
		case "fixed":
			c.fixed = true
		case "read":
			c.read = true
		case "cast":
			c.cast = "::" + value
		default:
			panic(fmt.Sprintf("postgres: table %s: %q is not an option of a column", table, option))
		}
	}
	if name == "" {
		panic(fmt.Sprintf("postgres: table %s has a field without a column", table))
	}
	return c
}

// Select returns "SELECT columns FROM table", for [Table.Scan]. A condition may follow.
func (t Table[T]) Select() string { return t.selection }

// Name returns the name of the table.
func (t Table[T]) Name() string { return t.name }

// Scan reads a row that holds the table's columns in their order.
func (t Table[T]) Scan(row pgx.CollectableRow) (T, error) {
	var out T
	value := reflect.ValueOf(&out).Elem()
	targets := make([]any, len(t.columns))
	for i, c := range t.columns {
		targets[i] = value.FieldByIndex(c.index).Addr().Interface()
	}
	err := row.Scan(targets...)
	return out, err
}

// Get returns the row of a key, or [ErrNoRows]. The values of the key come in the order of
// their fields.
func (t Table[T]) Get(ctx context.Context, db *DB, scope Scope, key ...any) (T, error) {
	return QueryOne(ctx, db, scope, t.Scan, t.selection+t.where, key...)
}

// Lock is [Table.Get] in a transaction. It locks the row until the transaction ends.
func (t Table[T]) Lock(ctx context.Context, tx pgx.Tx, key ...any) (T, error) {
	return TxOne(ctx, tx, t.Scan, t.lock, key...)
}

// Insert adds a row.
func (t Table[T]) Insert(ctx context.Context, tx pgx.Tx, row T) error {
	_, err := TxExec(ctx, tx, t.insert, t.arguments(nil, row, tableColumn.inserted)...)
	return err
}

// Update writes every column of a row that may change.
func (t Table[T]) Update(ctx context.Context, tx pgx.Tx, row T) error {
	_, err := TxExec(ctx, tx, t.update, t.arguments(t.arguments(nil, row, tableColumn.isKey), row, tableColumn.updated)...)
	return err
}

// Delete deletes a row.
func (t Table[T]) Delete(ctx context.Context, tx pgx.Tx, row T) error {
	_, err := TxExec(ctx, tx, t.remove, t.arguments(nil, row, tableColumn.isKey)...)
	return err
}

// arguments appends the values of the columns that a statement has as parameters.
func (t Table[T]) arguments(args []any, row T, has func(tableColumn) bool) []any {
	value := reflect.ValueOf(row)
	for _, c := range t.columns {
		if has(c) {
			args = append(args, argument(value.FieldByIndex(c.index)))
		}
	}
	return args
}

func argument(value reflect.Value) any {
	if value.Kind() == reflect.Slice && value.IsNil() && value.Type().Elem().Kind() != reflect.Uint8 {
		return reflect.MakeSlice(value.Type(), 0, 0).Interface()
	}
	return value.Interface()
}

func (c tableColumn) isKey() bool    { return c.key }
func (c tableColumn) inserted() bool { return !c.read }
func (c tableColumn) updated() bool  { return !c.key && !c.fixed && !c.read }

// FieldOf returns the value of the field of a struct whose tag db is a column. It is nil when
// there is none.
func FieldOf(row any, column string) any {
	value := reflect.ValueOf(row)
	for _, field := range reflect.VisibleFields(value.Type()) {
		if name, _, _ := strings.Cut(field.Tag.Get("db"), ","); name == column && !field.Anonymous {
			return value.FieldByIndex(field.Index).Interface()
		}
	}
	return nil
}
