// Package revocation is the room of revocations, which invalidate access tokens before
// they expire. A room that ends a session, a user or a membership adds a revocation in
// the same transaction. The services read the feed with the RPC of this room
// (platform/revocation).
package revocation
