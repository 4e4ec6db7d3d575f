// Package tls takes the application's place in the TLS connections of callers, so that
// the agent can read their requests, and speaks TLS with the application. It has the keys
// from Secrets that the kubelet mounts into the agent's container.
//
//	caller ══ TLS, with the terminating Secret ══ agent ══ TLS, with the originating Secret ══ application
//
// The agent first makes the connection to the application, with the server name and the
// protocols that the caller offers. It answers the caller with the protocol that the
// application chose, so nothing has to be translated. A connection that the agent cannot
// serve as the application would passes to the application as it is.
package tls
