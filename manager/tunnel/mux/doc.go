// Package mux carries many flows at once over the carriers of a session.
//
// # Carriers
//
// A carrier is a byte stream that the laptop opened through the API server. It
// begins with a [handshake.Hello] and a [handshake.Welcome] and is an HTTP/2
// connection from then on, with one gRPC stream of raw messages for each flow. The
// side that opens flows is the gRPC client: the relay on an inbound carrier, the
// session on an outbound one. So an opener never waits for a control message.
//
// # Messages of a flow
//
// The opener's first message is a [frame.Open]. The acceptor answers with response
// headers when it has reached the far side, or ends the stream with a status:
// PermissionDenied for not allowed, with the reason as its message; Unavailable
// with the message "refused", "timed out" or "unreachable"; Unimplemented for a kind
// of flow that it does not serve. Every other message is one type byte and a payload:
//
//	0 data
//	1 data; the sender had to wait for credit before it
//	2 end of this direction (half-close), no payload
//
// These are the caller's bytes, so a message of another type ends the flow: only a
// peer whose version knows that type may get one.
//
// A direction ends in band because neither the API server's upgrade proxy nor a
// gRPC server can half-close. A reset ends the gRPC stream with an error.
//
// # Flow control
//
// HTTP/2's windows are opened wide and bound nothing. Credit bounds memory: a
// sender may have initialWindow bytes under way, and more only as the receiver
// grants it. Grants travel on one control stream for each carrier, never behind
// data, so a direction that is stalled cannot stop the other. A receiver that has
// to wait for the network while the sender has to wait for credit doubles the
// window, up to maxWindow and as far as the [Budget] of its session allows. One
// that never reads keeps the initial window for ever. That is how hundreds of
// stalled readers cost a few megabytes while one flow on a long fat pipe has all
// that it needs.
package mux
