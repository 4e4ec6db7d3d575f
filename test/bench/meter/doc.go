// Package meter is a server and its client, between which the benchmarks measure.
// The server runs in a pod or on the laptop. The path between the two only has to
// carry TCP connections.
//
// The client begins a connection with one byte, which tells the server what to do:
//
//	'E'          echo everything until the connection ends
//	'U'          count what arrives, until a read that ends in the byte 0xff;
//	             answer with the count, 8 bytes
//	'D' + 4      send for the number of milliseconds in the next 4 bytes, then the
//	             byte 0xff
//	'N' + 4      read nothing for the number of milliseconds in the next 4 bytes
//	'W'          answer with the server's name
//
// An upload and a download end with a mark in the stream and not with the stream's
// end, because kubectl port-forward loses the answer to a half-closed connection.
// Numbers are big-endian. Uploads and downloads consist of zeros, except for the
// end mark.
package meter

import "time"

const (
	opEcho     = 'E'
	opUpload   = 'U'
	opDownload = 'D'
	opStall    = 'N'
	opWho      = 'W'

	endMark = 0xff

	// bufferSize is how many bytes both ends read and write at a time.
	bufferSize = 256 << 10
	// grace is how much longer than its duration a transfer may take, so that the
	// data in flight can arrive. After that time, the path counts as stuck.
	grace = 10 * time.Second
	// maxHold is how long a connection may exist that a stalled test leaves behind.
	maxHold = 5 * time.Minute
)
