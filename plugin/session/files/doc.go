// Package files brings the volumes of a container to a folder of this machine: mounted by FUSE
// on Linux, or copied.
//
// A mount outlives the process that serves it if that is killed, and then every access to it
// fails. So each mount has a record in the session's folder, and the next session unmounts
// what is recorded there.
package files
