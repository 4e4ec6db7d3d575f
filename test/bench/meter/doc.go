// Package meter is the pair of programs between which everything is measured:
// a server, which runs in a pod and on the laptop, and its client. Whatever
// lies between them must only carry a TCP connection.
//
// A connection begins with one byte that says what it is for:
//
//	'E'          echo everything until the end
//	'U'          count what arrives, until a read that ends in the byte 0xff;
//	             answer with the count, 8 bytes
//	'D' + 4      send for so many milliseconds, then the byte 0xff
//	'N' + 4      read nothing for so many milliseconds
//	'W'          answer with the server's name
//
// An upload and a download end with a mark in the stream and not with the
// stream's end, because kubectl port-forward loses the answer to a half-closed
// connection. Numbers are big-endian. All that flows is zeros, except marks.
package meter

import "time"

const (
	opEcho     = 'E'
	opUpload   = 'U'
	opDownload = 'D'
	opStall    = 'N'
	opWho      = 'W'

	endMark = 0xff

	// bufferSize is what both ends read and write at a time.
	bufferSize = 256 << 10
	// grace is what a transfer may take beyond its time, for all that is
	// under way to arrive. After it, the path counts as stuck.
	grace = 10 * time.Second
	// maxHold bounds the connections that a stalled test leaves behind.
	maxHold = 5 * time.Minute
)
