// Package erasure is the room of erasures: users and organizations whose rows the other
// services must erase. A room adds an erasure in the transaction that deletes the user
// or the organization. The services read the feed with the RPC of this room
// (platform/erasure), because auth may not call them.
package erasure
