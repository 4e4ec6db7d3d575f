//go:build !linux

package tunnel

import (
	"io"
	"net"
)

// Splice moves src to dst until src ends, and count hears of the bytes.
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
