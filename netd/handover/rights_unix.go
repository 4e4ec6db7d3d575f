//go:build unix

package handover

import (
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// writeFile writes one message and gives the file along; f stays the caller's.
func writeFile(c *net.UnixConn, v any, f *os.File) error {
	b, err := encode(v)
	if err != nil {
		return err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var werr error
	if err := raw.Control(func(fd uintptr) {
		_, _, werr = c.WriteMsgUnix(length(b), unix.UnixRights(int(fd)), nil)
	}); err != nil {
		return err
	}
	if werr != nil {
		return fmt.Errorf("pass the descriptor: %w", werr)
	}
	_, err = c.Write(b)
	return err
}

// readFile reads one message and the file that came with it, or nil.
func readFile(c *net.UnixConn, v any) (*os.File, error) {
	var fds []int
	oob := make([]byte, unix.CmsgSpace(4*4))
	err := readFrom(c, func(h []byte) error {
		for len(h) > 0 {
			n, oobn, _, _, err := c.ReadMsgUnix(h, oob)
			fds = append(fds, rights(oob[:oobn])...)
			if err == nil && n == 0 {
				err = io.EOF
			}
			if err != nil {
				return err
			}
			h = h[n:]
		}
		return nil
	}, v)
	if len(fds) > 1 || err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		if err == nil {
			err = fmt.Errorf("%d descriptors came with one message", len(fds))
		}
		return nil, err
	}
	if len(fds) == 0 {
		return nil, nil
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "tun"), nil
}

func rights(oob []byte) (fds []int) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		if got, err := unix.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}
