// Package daemon is the session process, which runs in the background without privileges.
// It holds the carriers to the traffic-manager, connects the flows of the user's
// intercepts with local programs, and answers commands on a unix socket.
//
// The process uses the credentials and the environment of the latest command (package
// credentials). It ends if they are those of another user. When it crashes, or when a
// plugin of another version replaces it, the next process takes over everything. When no
// Intercept has needed it for a while, it ends and deletes the Session object. It also
// ends when the cluster has not answered for a long time.
package daemon
