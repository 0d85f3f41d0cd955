// Package userdirectory is the room in which the services of the suite ask who users
// are and where they belong: to show whose a row is, to write to somebody, to see
// whether a user for whom a job was queued may still do what it is about.
//
// It answers batches of what was named, never a list, so that no answer grows with
// the installation. What is unknown is left out rather than refused: rows outlive
// their users.
package userdirectory
