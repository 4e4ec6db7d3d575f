package outbound

import "net"

// PipeEnd is a Stream over one end of a net.Pipe, for a Conn to join.
type PipeEnd struct{ net.Conn }

// CloseWrite closes the pipe, which has no half-close: nothing is of use to a
// program that comes after the flow's end.
func (p *PipeEnd) CloseWrite() error { return p.Close() }

// Reset closes the pipe.
func (p *PipeEnd) Reset() { p.Close() }
