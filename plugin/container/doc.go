// Package container runs a local container as the handler of an intercept, by the command line
// that docker, podman and nerdctl share.
package container
