// Package session finds, starts and queries the session, which is the plugin's
// background process. Commands use it.
//
//	kubectl intercept add ── Ensure ──┐ unix socket: /status /hold /intercepts /quit …
//	                                  ▼
//	traffic-manager ═ carriers ═ session process ── 127.0.0.1:8080
//	                            (package daemon)
//
// There is one session for each kube context and user. It is a Session object in the
// manager's namespace, a key pair whose public half the object has, and a directory on disk
// (package state). The process that holds the directory's lock is the session. Each
// command tells the process its credentials and its environment (package socket).
package session
