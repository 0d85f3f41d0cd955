// Package userdirectory is the room in which the other services look up users and
// memberships: to display the owner of a row, to write to a user, or to check that the
// user of a queued job still has the rights for it.
//
// The RPCs return what is named in the request, never a list, so that no response grows
// with the installation. Unknown ids are left out of the response, because rows outlive
// their users.
package userdirectory
