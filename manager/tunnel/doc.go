// Package tunnel says what a flow is: one connection of a caller on its way
// between agent, relay and session. It knows nothing of Kubernetes, so that the
// agent and the root helper can link it.
//
// # Two ways
//
//	caller → agent ═══ TLS, one flow after the other ═══ session → program    a line
//	               └── TCP ── relay ── API server ────┘
//
//	caller → agent ═ TLS ═ relay ═ carrier: gRPC, many flows ═ session → program
//
// A flow takes a line if its agent has an idle one, and a carrier otherwise. Lines
// are the fast way: the relay moves bytes from kernel to kernel, the sockets' own
// windows bound every flow, and no flow waits for another. Each line is a
// connection to the API server, so there are a few dozen of them; carriers take
// the rest, and everything where the transport is a port-forward.
//
// # Versions
//
// Both ends of every connection write the version of the protocol that they speak,
// and every frame consists of tagged fields, of which a reader skips those that it
// does not know. A side that is asked for a kind of flow that it does not serve
// answers Unsupported. So a newer peer can try what is new and do without it, and a
// version grows only with a change that an older peer would misread.
//
// # Packages
//
//	handshake  the first frames of carriers and lines: which program is on each end
//	frame      the bytes that open a flow and that answer it
//	line       flows one after the other over a TLS connection
//	mux        many flows at once over the carriers of a session
//	datagram   UDP datagrams and echoes within a flow
//	warm       connections that are ready before a flow needs one
//	patience   how long to wait for an answer
//	record     TLS records, several with one system call
//	buffer     the memory that the bytes of all flows pass through
//	tunneltest connections for tests
//
// Agents use handshake, frame, line, datagram, warm and patience; sessions and relays use all.
package tunnel
