//go:build !linux

package tunnel

import (
	"io"
	"net"
)

// Splice moves the bytes of src to dst until src ends, and tells count how many.
func Splice(dst, src *net.TCPConn, count func(int)) error {
	const most = 1 << 20
	for {
		n, err := dst.ReadFrom(io.LimitReader(src, most))
		count(int(n))
		if err != nil || n < most {
			return err
		}
	}
}

// SpliceN is Splice for the next n bytes of src. It returns io.ErrUnexpectedEOF if src
// ends before.
func SpliceN(dst, src *net.TCPConn, n int64, count func(int)) error {
	moved, err := dst.ReadFrom(io.LimitReader(src, n))
	count(int(moved))
	if err == nil && moved < n {
		return io.ErrUnexpectedEOF
	}
	return err
}
