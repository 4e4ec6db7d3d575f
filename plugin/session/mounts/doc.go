// Package mounts has the volumes of intercepts' containers on this machine: each for as long
// as its intercept, whichever process serves the session meanwhile.
package mounts
