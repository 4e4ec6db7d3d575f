// Package files serves the volumes of one container, to SFTP clients and by the bulk protocol
// of manager/rpc/volume.
//
// A client sees a tree: the volumes at the paths where the container has them, the folders
// that lead to these, and nothing else. The kernel holds that boundary. The server opens each
// path with openat2 below a descriptor of the volume's mount, so that neither "..", nor a
// symbolic link, nor a mount within the mount leads out, and what changes meanwhile makes no
// difference. Symbolic links within a volume work; Kubernetes makes ConfigMaps, Secrets and
// tokens of them.
//
// Files are opened and changed with the user, the groups and the capabilities of the
// container's process. So the server can do what that process can, and no more.
package files
