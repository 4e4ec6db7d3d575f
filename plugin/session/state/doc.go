// Package state is what a session keeps on disk. Each session has a directory
// in the user's cache directory, with a lock that a crash releases, the socket
// of the running process, and the state that the next process takes over.
package state
