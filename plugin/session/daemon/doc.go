// Package daemon is the session process, which runs in the background without
// privileges. It holds the carriers to the traffic-manager, connects the flows of the
// user's intercepts with local programs, and answers the commands on a unix socket.
//
// The process uses the credentials and the environment of the latest command (package
// credentials) as long as they are the same user's; else it ends. When it crashes, or
// when a plugin of another version replaces it, it leaves everything to its successor.
// It ends when no Intercept has needed it for a while, and then deletes the Session
// object; and it ends when the cluster has not answered for long.
package daemon
