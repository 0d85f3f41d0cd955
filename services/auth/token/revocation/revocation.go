// Package revocation is the room of what ends access tokens before their time.
// Other rooms tell it in the transaction of what they end; the services of the
// suite follow it by the RPC of this room (platform/revocation).
package revocation
