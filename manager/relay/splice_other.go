//go:build !linux

package relay

import (
	"io"
	"net"
)

// spliceOneWay moves src to dst until src ends.
func spliceOneWay(dst, src *net.TCPConn) error {
	_, err := io.Copy(dst, src)
	return err
}
