//go:build linux

// Package fusefs shows the volumes of a container as a file system of this machine, by FUSE.
//
// What the pod changes is seen within a second: the kernel and this package keep attributes
// and names for half a second each. Content is kept for longer, and is used when the
// attributes are the same. A folder is listed in one round trip, with attributes. Small files
// are read many at a time, in the order of their names, as programs that read a folder do;
// large ones are read ahead, in parts, on several streams.
package fusefs
