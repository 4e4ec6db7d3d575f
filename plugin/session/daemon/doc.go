// Package daemon is the session process, which runs in the background without
// privileges. It holds the carriers to the traffic-manager, connects the flows of the
// user's intercepts with local programs, and answers the commands on a unix socket.
//
// The process uses the credentials and the environment of the latest command (package
// credentials), and ends if they are another user's. When the process crashes, or a
// plugin of another version replaces it, a successor takes over its work. When no
// Intercept has needed the process for a while, it deletes the Session object and ends.
// It also ends when the cluster has not answered for long.
package daemon
