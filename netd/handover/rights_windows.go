package handover

import (
	"errors"
	"net"
	"os"
)

func writeFile(*net.UnixConn, any, *os.File) error {
	return errors.New("a descriptor cannot be passed on this system")
}

func readFile(c *net.UnixConn, v any) (*os.File, error) { return nil, read(c, v) }
