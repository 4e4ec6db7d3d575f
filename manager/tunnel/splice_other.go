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
