// Package state is what a session keeps on disk: a directory per session in
// the user's cache directory, with a lock that a crash releases, the socket of
// the running process, and what a successor needs to take over.
package state
