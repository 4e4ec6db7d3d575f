// Package line carries flows one after the other over a TLS connection: between an
// agent and a relay, or, through the relay, between an agent and a session. The
// latter connection is a line.
//
// # How a line comes about
//
// A session offers idle lines: HTTP Upgrades through the API server that begin with
// a [handshake.LineHello]. An agent that wants a line asks a relay for one, on a
// connection of [handshake.ALPNLine], with a [handshake.LineRequest]. The relay
// tells the session with a [handshake.LineAssigned] which agent gets the line, and
// tells the agent which session it reaches. From then on the relay only splices,
// and agent and session shake hands with each other: TLS 1.3 with the keys that
// the relay named. The frames before that handshake are in the clear between API
// server and relay; they carry a MAC with a secret that the session has told the relay
// on a carrier.
//
// # What travels on it
//
// Each flow begins with a [frame.Open], which holds the caller's first bytes. The
// other end answers with a [frame.Verdict], and then the bytes of the flow follow.
// All of it travels in chunks: u32 length and payload. A chunk of length 0 is a
// half-close. After both directions have ended, or a refusal, the connection
// serves the next flow. A reset of a flow is a TCP reset of the connection.
//
// # Signs of life
//
// What lies between API server and laptop cuts connections on which nothing moves
// for a while, often half a minute, and TCP's own keepalive does not reach through
// it. So an end of a line that has written nothing for some seconds, within a flow
// or between two, writes a chunk of length 2³²-1 without payload, which means
// nothing. The relay writes to a line that no agent has yet.
package line
