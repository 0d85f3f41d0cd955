// Package erasure is the room of what is gone for good: users and organizations
// whose rows the other services must erase. Other rooms tell it in the transaction
// that ends them; the services follow it by the RPC of this room
// (platform/erasure), since none of them may be called by auth.
package erasure
