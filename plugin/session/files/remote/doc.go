// Package remote is a laptop's end of the volumes of a container: what agent/files serves, as
// functions.
//
// A Client keeps a few streams open, for SFTP and for the bulk protocol, and uses the idlest.
// When a stream breaks, it opens another. Calls that change nothing are repeated then; a call
// that changes something fails, since nobody knows whether it has happened. While no stream
// can be opened, calls wait for a bounded time and fail, and work again when one can.
package remote
