// Package session is the plugin's background process: one per kube context
// and user, without privileges. It holds the carriers to the traffic-manager,
// connects the flows of the user's intercepts with local programs, and answers
// the commands on a unix socket.
//
//	kubectl intercept add ── Ensure ──┐ unix socket: /status /hold /intercepts /quit …
//	                                  ▼
//	traffic-manager ═ carriers ═ session process ── 127.0.0.1:8080
//	  (carrier.Pool, through the API server)  (local.Table)
//
// A session is a Session object in the manager's namespace, a token whose hash
// the object carries, and a directory on disk (package state). Who holds the
// directory's lock is the session. Commands say with which credentials they come,
// and in which environment, and the process goes on with those (caller, package
// credentials) as long as they are the same user's; else it ends. A process that crashed, or that a plugin of
// another version replaces, leaves all of it to its successor. The process
// ends when no Intercept has needed it for a while, and takes the Session
// object with it; and when the cluster does not answer for long.
package session
