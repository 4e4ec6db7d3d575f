// Package copies copies the volumes of a container into a folder of this machine, where they
// cannot be mounted.
package copies
