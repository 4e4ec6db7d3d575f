// Package tunnel is the flow protocol: how one connection of a caller travels
// between agent, relay and session. It knows nothing of Kubernetes, so that
// the agent and the root helper can link it.
//
// # Two ways
//
//	caller → agent ═══ TLS, one flow after the other ═══ session → program    a line
//	               └── TCP ── relay ── API server ────┘
//
//	caller → agent ═ TLS ═ relay ═ carrier: gRPC, many flows ═ session → program
//
// A flow takes a line if its agent has one to spare, and a carrier otherwise. Lines
// are the fast way: the relay moves bytes from kernel to kernel, the sockets'
// own windows bound every flow, and none waits for another. Each is a
// connection to the API server, so there are a few dozen of them; carriers take
// the rest, and everything where the transport is a port-forward.
//
// # Lines
//
// A session offers spare lines: HTTP Upgrades through the API server that begin
// with a [LineHello]. An agent that wants one asks a relay, on a connection of
// [ALPNLine], with a [LineRequest]. The relay tells the session with a
// [LineJoined] who will have its line, and the agent whom it reaches. From then on
// it only splices, and the two shake hands with each other, TLS 1.3 with the
// keys that the relay named. What was before the handshake is in the clear between
// API server and relay, and carries a MAC with a key that both derive from the
// session's token.
//
// # Flows on a connection
//
// Flows on a line, and on a connection between agent and relay, travel alike: an
// [Open] frame with the caller's first bytes, a [Verdict] back, then the
// bytes of the flow. All of it travels in chunks, u32 length and payload; a
// chunk of length 0 is a half-close. After both directions have ended, or a
// refusal, the connection serves another flow. A reset is a TCP reset.
//
// The verdict Denied is followed by its reason, u16 length and text for people,
// at most [MaxReason] bytes.
//
// What lies between API server and laptop cuts connections on which nothing moves
// for a while, often half a minute, and TCP's own keepalive does not reach
// through it. So either end of a line that has written nothing for
// some seconds, within a flow or between two, writes a chunk of length 2³²-1
// without payload, which means nothing. A line that no agent has yet hears from
// the relay, and a carrier has pings of its own.
//
// # Carriers
//
// Relay and session speak over carriers: byte streams that the laptop opened
// through the API server. A carrier begins with a [Hello] and a [Welcome] and
// is an HTTP/2 connection from then on, with one gRPC stream of raw messages
// per flow. Who opens flows is the gRPC client: on an inbound carrier that is
// the relay, on an outbound one the session, so an opener never waits for a
// control message.
//
// # Messages of a flow
//
// The opener's first message is an Open frame. The acceptor answers with
// response headers when it has reached the far side, or ends the stream with
// a status: PermissionDenied for not allowed, with the reason as its message;
// Unavailable with the message "refused", "timed out" or "unreachable". Every
// other message is one type byte and a payload:
//
//	0 data
//	1 data; the sender had to wait for credit before it
//	2 end of this direction (half-close), no payload
//
// A direction ends in band because neither the API server's upgrade proxy nor
// a gRPC server can half-close. A reset ends the gRPC stream with an error.
//
// # Datagrams and echoes
//
// A UDP flow is a stream of datagrams, each u16 length and payload; the first
// one, in the Open frame, has no length. The acceptor ends the flow after a time
// without traffic, and resets it when the far side says that the port is
// unreachable.
//
// An ICMP flow is what one program pings at one address: echo requests one way,
// the replies that there are the other way, IPv4 and IPv6. Each is a datagram
// of sequence number u16 and payload; the identifier is the acceptor's affair.
// The acceptor really sends every request, and answers none itself.
//
// # Flow control
//
// HTTP/2 windows are opened wide and do not bound anything. What bounds
// memory is credit: a sender may have [InitialWindow] bytes under way, and
// more only as the receiver grants it. Grants travel on one control stream
// per carrier, never behind data, so a direction that is stalled cannot stop
// the other. A receiver that has to wait for the network while the sender has to
// wait for credit doubles the window, up to [MaxWindow] and as far as the [Budget] of its session
// allows; one that never reads keeps the initial window for ever. That is how
// hundreds of stalled readers cost a few megabytes while one flow on a long
// fat line has all it needs.
//
// # Limits
//
// An Open frame has at most [MaxOpen] bytes, a data message [MaxPayload], a
// handshake frame [MaxHandshake]. Frames beyond a limit end the connection.
package tunnel
