// Package template has the room that `make entity` copies: an entity of an organization
// with a name and a description.
//
// No program contains it. It is compiled, linted and tested as every other room, so that
// what the generator writes is too. The generator replaces the names template and sample item;
// see tools/entity.
package template
